"""Every frame that may come from a node, and every one that may go to it. Standard library only; travels with sync."""

from __future__ import annotations

from fleet.vocabulary.contracts.peers import Fetch, Fetched, Give, Giving, Still
from fleet.vocabulary.contracts.questions import (
    AuditLines,
    Collect,
    Collected,
    Confirm,
    Confirmed,
    History,
    ListModels,
    Models,
    Prove,
    Proved,
    ReadAudit,
    ReadHistory,
    Reboot,
    Rebooting,
    Recall,
    Recalled,
    Restart,
    Seal,
    Stow,
    Stowed,
    Stowing,
    Verified,
    Verify,
)
from fleet.vocabulary.contracts.sync import (
    BlobPart,
    Bye,
    Commit,
    Desired,
    Done,
    Event,
    Failed,
    Held,
    Hello,
    Hold,
    Observed,
    Progress,
    Staged,
)

FromNode = (
    Hello
    | Observed
    | Held
    | Progress
    | Staged
    | Event
    | Done
    | Failed
    | Collected
    | Confirmed
    | AuditLines
    | History
    | Recalled
    | Verified
    | Rebooting
    | Proved
    | Stowing
    | Stowed
    | Models
    | Giving
    | Fetched
)
ToNode = (
    Desired
    | Hold
    | BlobPart
    | Commit
    | Bye
    | Collect
    | Confirm
    | ReadAudit
    | ReadHistory
    | Recall
    | Verify
    | Reboot
    | Restart
    | Prove
    | Stow
    | Seal
    | ListModels
    | Give
    | Fetch
    | Still
)
