"""Slurm's limits as people write them, and what becomes of them: tables for tests and the page.

tests/contract/test_slurm_limits.py holds them over the emulator and the real thing, and
tests/unit/handlers/slurm/test_page.py holds docs/slurm.md.
"""

from __future__ import annotations

from handlers.slurm.limits.limits import Limits

ROUNDS: list[tuple[str, str, Limits]] = [
    # What is written; what is sent; what is read back of it.
    ("Fairshare=10", "Fairshare=10", {"Fairshare": 10}),
    ("Shares=parent", "Fairshare=parent", {"Fairshare": "parent"}),
    ("Fairshare=0", "Fairshare=0", {"Fairshare": 0}),
    ("Fairshare=2147483646", "Fairshare=2147483646", {"Fairshare": 2147483646}),
    ("Fairshare=-1", "Fairshare=1", {}),
    ("Priority=4", "Priority=4", {"Priority": 4}),
    ("Priority=-1", "Priority=-1", {}),
    ("GrpJobs=010", "GrpJobs=10", {"GrpJobs": 10}),
    ("GrpJobs=-1", "GrpJobs=-1", {}),
    ("GrpJobsAccrue=6", "GrpJobsAccrue=6", {"GrpJobsAccrue": 6}),
    ("GrpJobsAccrue=-1", "GrpJobsAccrue=-1", {}),
    ("GrpSubmit=7", "GrpSubmitJobs=7", {"GrpSubmitJobs": 7}),
    ("GrpSubmitJobs=-1", "GrpSubmitJobs=-1", {}),
    ("GrpWall=90:30", "GrpWall=01:31:00", {"GrpWall": 91}),
    ("GrpWall=100:00:00", "GrpWall=4-04:00:00", {"GrpWall": 6000}),
    ("GrpWall=UNLIMITED", "GrpWall=-1", {}),
    ("MaxJobs=0", "MaxJobs=0", {"MaxJobs": 0}),
    ("MaxJobs=2147483647", "MaxJobs=2147483647", {"MaxJobs": 2147483647}),
    ("MaxJobs=-1", "MaxJobs=-1", {}),
    ("MaxJobsAccrue=5", "MaxJobsAccrue=5", {"MaxJobsAccrue": 5}),
    ("MaxJobsAccrue=-1", "MaxJobsAccrue=-1", {}),
    ("MaxSubmitJobs=8", "MaxSubmitJobs=8", {"MaxSubmitJobs": 8}),
    ("MaxSubmitJobs=-1", "MaxSubmitJobs=-1", {}),
    ("MaxWall=24:00:00", "MaxWall=1-00:00:00", {"MaxWall": 1440}),
    ("MaxWall=01:30:30", "MaxWall=01:31:00", {"MaxWall": 91}),
    ("MaxWallDurationPerJob=240", "MaxWall=04:00:00", {"MaxWall": 240}),
    ("MaxWall=35791393", "MaxWall=24855-03:13:00", {"MaxWall": 35791393}),
    ("MaxWall=0", "MaxWall=00:00:00", {"MaxWall": 0}),
    ("MaxWall=-1", "MaxWall=-1", {}),
    ("MinPrioThresh=3", "MinPrioThresh=3", {"MinPrioThresh": 3}),
    ("MinPrioThresh=-1", "MinPrioThresh=-1", {}),
    # Resources: each has a limit of its own.
    ("GrpTRES=cpu=64,mem=1G", "GrpTRES=cpu=64,mem=1G", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1024}),
    ("GrpTRES=mem=1536G", "GrpTRES=mem=1536G", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1572864}),
    ("GrpTRES=mem=1.50T", "", {"GrpTRES/cpu": 64, "GrpTRES/mem": 1572864}),
    ("GrpMemory=2049", "GrpTRES=mem=2049M", {"GrpTRES/cpu": 64, "GrpTRES/mem": 2049}),
    ("GrpTRES=cpu=-1", "GrpTRES=cpu=-1", {"GrpTRES/mem": 2049}),
    ("GrpNodes=4", "GrpTRES=node=4", {"GrpTRES/mem": 2049, "GrpTRES/node": 4}),
    ("GrpTRES=-1", "GrpTRES=mem=-1,node=-1", {}),
    ("GrpCPUs=3", "GrpTRES=cpu=3", {"GrpTRES/cpu": 3}),
    ("GrpTRES=cpu=0", "GrpTRES=cpu=0", {"GrpTRES/cpu": 0}),
    ("GrpTRES=-1:GrpTRES=node=1K", "GrpTRES=cpu=-1,node=1024", {"GrpTRES/node": 1024}),
    ("GrpTRES=node=-1", "GrpTRES=node=-1", {}),
    ("GrpTRESMins=cpu=1M", "GrpTRESMins=cpu=1048576", {"GrpTRESMins/cpu": 1048576}),
    ("GrpCPUMins=5", "GrpTRESMins=cpu=5", {"GrpTRESMins/cpu": 5}),
    (
        "GrpTRESMins=cpu=9223372036854775807",
        "GrpTRESMins=cpu=9223372036854775807",
        {"GrpTRESMins/cpu": 9223372036854775807},
    ),
    ("GrpTRESMins=cpu=-1", "GrpTRESMins=cpu=-1", {}),
    ("GrpTRESMins=cpu=4,node=2", "GrpTRESMins=cpu=4,node=2",
     {"GrpTRESMins/cpu": 4, "GrpTRESMins/node": 2}),
    ("GrpTRESMins=-1", "GrpTRESMins=cpu=-1,node=-1", {}),
    ("GrpTRESRunMins=cpu=7", "GrpTRESRunMins=cpu=7", {"GrpTRESRunMins/cpu": 7}),
    ("GrpCPURunMins=9", "GrpTRESRunMins=cpu=9", {"GrpTRESRunMins/cpu": 9}),
    ("GrpTRESRunMins=-1", "GrpTRESRunMins=cpu=-1", {}),
    ("MaxTRESPerJob=cpu=6", "MaxTRES=cpu=6", {"MaxTRES/cpu": 6}),
    ("MaxTRESPJ=cpu=5", "MaxTRES=cpu=5", {"MaxTRES/cpu": 5}),
    ("MaxCPUsPerJob=6", "MaxTRES=cpu=6", {"MaxTRES/cpu": 6}),
    ("MaxNodesPerJob=2", "MaxTRES=node=2", {"MaxTRES/cpu": 6, "MaxTRES/node": 2}),
    ("MaxTRES=-1", "MaxTRES=cpu=-1,node=-1", {}),
    ("MaxTRESPN=cpu=8", "MaxTRESPerNode=cpu=8", {"MaxTRESPerNode/cpu": 8}),
    ("MaxTRESPerNode=-1", "MaxTRESPerNode=cpu=-1", {}),
    ("MaxTRESMinsPerJob=cpu=5", "MaxTRESMins=cpu=5", {"MaxTRESMins/cpu": 5}),
    ("MaxTRESMinsPJ=cpu=4", "MaxTRESMins=cpu=4", {"MaxTRESMins/cpu": 4}),
    ("MaxCPUMinsPerJob=3", "MaxTRESMins=cpu=3", {"MaxTRESMins/cpu": 3}),
    ("MaxTRESMins=-1", "MaxTRESMins=cpu=-1", {}),
    ("MaxTRESRunMins=cpu=10", "MaxTRESRunMins=cpu=10", {"MaxTRESRunMins/cpu": 10}),
    ("MaxCPURunMins=11", "MaxTRESRunMins=cpu=11", {"MaxTRESRunMins/cpu": 11}),
    ("MaxTRESRunMins=-1", "MaxTRESRunMins=cpu=-1", {}),
    ("MaxTRES=mem=1023P", "MaxTRES=mem=1023P", {"MaxTRES/mem": 1023 * 1024**3}),
    ("MaxTRES=-1", "MaxTRES=mem=-1", {}),
    # QOS: those of a cluster are inherited, and never printed.
    ("QOS+=@a", "QOS+=@a", {"QOS+": "@a"}),
    ("QOS='+@b'", "QOS+=@b", {"QOS+": "@a,@b"}),
    ("QOS-=@b", "QOS-=@b", {"QOS+": "@a", "QOS-": "@b"}),
    ("QOS=+@b,-@a", "QOS+=@b QOS-=@a", {"QOS+": "@b", "QOS-": "@a"}),
    ("QOS=@b", "QOS=@b", {"QOS": "@b"}),
    ("QOS+=@a", "QOS+=@a", {"QOS": "@a,@b"}),
    ("QOS-=@b", "QOS-=@b", {"QOS": "@a"}),
    ("QOS=@a:QOS+=@b", "QOS+=@b", {"QOS": "@a,@b"}),
    ("QosLevel=@b", "QOS-=@a", {"QOS": "@b"}),
    ("QOS=@a,@b", "QOS+=@a", {"QOS": "@a,@b"}),
    ("DefaultQOS=@a", "DefaultQOS=@a", {"QOS": "@a,@b", "DefaultQOS": "@a"}),
    ("DefQOS=@b", "DefaultQOS=@b", {"QOS": "@a,@b", "DefaultQOS": "@b"}),
    ("DefaultQOS=-1", "DefaultQOS=-1", {"QOS": "@a,@b"}),
    ("QOS=", "QOS=", {}),
]  # fmt: skip
"""One after the other, each over what the ones before it left. @ is a test's own name."""

_UNSAYABLE = ("QOS+", "QOS-", "QOS=+", "QOS='+", "QosLevel")

SAYABLE = [
    one for one in ROUNDS if one[0] != "QOS=" and not any(part in one[0] for part in _UNSAYABLE)
]
"""Those that slurmrestd can write: no names added to an inherited list of QOS, and none cleared."""

TAKEN = {
    "MaxJobs=": ("MaxJobs=0", "MaxJobs=-1"),
    "MaxJobs=12abc": ("MaxJobs=12", "MaxJobs=12"),
    "MaxJobs=1.5": ("MaxJobs=1", "MaxJobs=1"),
    "MaxJobs=99999999999": ("MaxJobs=1215752191", "MaxJobs=-1"),
    "Fairshare=1.5": ("", "Fairshare=1"),
    "Fairshare=2147483647": ("Fairshare=parent", "Fairshare=-1"),
    "MaxWall=99999-0": ("MaxWall=578-11:04:00", "MaxWall=-1"),
    "GrpTRES=cpu=": ("GrpTRES=cpu=0", "GrpTRES=cpu=-1"),
    "GrpTRES=cpu=4x": ("GrpTRES=cpu=4", "GrpTRES=cpu=4"),
    "GrpTRES=cpu=1T": ("GrpTRES=cpu=1", "GrpTRES=cpu=1099511627776"),
    "GrpTRES=cpu=-2": ("", "GrpTRES=cpu=-1"),
    "GrpTRES=mem=512K": ("GrpTRES=mem=512M", "GrpTRES=mem=1M"),
    "GrpTRES=mem=1.3T": ("GrpTRES=mem=1M", "GrpTRES=mem=1363149M"),
    "GrpTRES=mem=1049088": ("GrpTRES=mem=1.00T", "GrpTRES=mem=1025G"),
    "GrpMemory=2G": ("GrpTRES=mem=2M", "GrpTRES=mem=2G"),
    "GrpJobs=-5": ("", "GrpJobs=-1"),
}
"""Written -> what sacctmgr of 22.05.8 keeps of it, with exit code 0; and the nearest that is right.
So does 24.11.5, and 26.05.5 but for what it refuses."""

REFUSED_BY_26_05 = frozenset(("MaxJobs=12abc", "MaxJobs=1.5", "Fairshare=1.5", "GrpMemory=2G"))

REFUSED = {
    "MaxJobs=2147483648": "MaxJobs=-1",
    "MaxJobs=unlimited": "MaxJobs=-1",
    "MaxWall=": "MaxWall=-1",
    "GrpTRES=": "GrpTRES=-1",
    "GrpTRES=gpu=2": "gres/gpu",
    "GrpTRES=memory=2G": "mem",
    "QOS=-1": "QOS=",
    "QOS=@a,+@b": "QOS=@a,@b",
    "DefaultQOS=": "DefaultQOS=-1",
}
"""Written -> the nearest that is right; sacctmgr of every version ends with 1."""
