"""`link: openssh`: the user's own ssh binary carries the frames, for whatever paramiko cannot log in with."""
