"""The routes under /jobs, in a file for each: post, show, list, end, extend, and the files and progress of a job."""
