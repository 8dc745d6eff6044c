"""The routes under /jobs, a file for each act: post, show, list, end, extend, and what a job has to show."""
