"""What any route needs of HTTP: bodies, queries, problems, ranges, and what holds for every request.

The law of this folder: it knows no job, no dataset and no route.
"""
