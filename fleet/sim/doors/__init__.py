"""The SSH doors of a simulated node: asyncssh inside the supervisor, or OpenSSH's sshd. Both run NODE/sim/exec."""
