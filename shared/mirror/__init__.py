"""A volume in a bucket, and the folder of this machine that stands for it.

All other code reads and writes the folder, as it does with a volume on a filesystem. What decides a race is created
in the bucket first and then in the folder (`mirror`); what others have changed is brought by looks every few seconds
(`pull`); what a training process writes is uploaded while it trains (`push`). The files have the same names in both.
The folder may vanish at any moment: nothing is only there, but for what the attempts of this machine have not
uploaded yet.
"""
