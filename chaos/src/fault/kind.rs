//! The faults by name: what each does, what it needs, and whether it works on this machine.

use super::error::Error;
use super::{disk, network, shape, strace};

/// One way to break a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL.
    Kill,
    /// SIGSTOP until SIGCONT.
    Hold,
    /// The targets on one side, all others on the other.
    Partition,
    /// The targets receive nothing from other nodes.
    DropIn,
    /// What the targets send reaches no other node.
    DropOut,
    /// Two targets cannot reach each other; everybody else reaches both.
    Bridge,
    /// Packets of the targets are lost at random.
    Loss,
    /// Packets of the targets come late.
    Delay,
    /// The targets' disks lose power, and the processes die with them.
    PowerCut,
    /// The targets' disks are full.
    DiskFull,
    /// Each write and sync of the targets' disks waits.
    DiskStall,
    /// Each sync of the targets' disks takes longer.
    DiskSlow,
    /// A sync of the targets' Raft log fails once.
    SyncError,
    /// Single bits in the targets' SST files are flipped while they are down.
    FlipSst,
    /// A bit in the older half of the targets' Raft log is flipped while they are down.
    FlipLog,
    /// Every 4 MiB of table data is damaged on exactly one node, on all nodes.
    Helix,
    /// Everything that the targets have stored is gone.
    Wipe,
    /// The targets' wall clocks jump.
    ClockJump,
    /// Shards that the targets lead get other leaders by command, one after the other.
    LeaderMove,
    /// Data shards are split and their replicas moved by command, one after the other.
    ShardChange,
}

/// What a kind is called and does.
struct Words {
    name: &'static str,
    what: &'static str,
    chinese: &'static str,
}

impl Kind {
    /// All of them, in the order of the doctor's table.
    pub const ALL: [Kind; 20] = [
        Kind::Kill,
        Kind::Hold,
        Kind::Partition,
        Kind::DropIn,
        Kind::DropOut,
        Kind::Bridge,
        Kind::Loss,
        Kind::Delay,
        Kind::PowerCut,
        Kind::DiskFull,
        Kind::DiskStall,
        Kind::DiskSlow,
        Kind::SyncError,
        Kind::FlipSst,
        Kind::FlipLog,
        Kind::Helix,
        Kind::Wipe,
        Kind::ClockJump,
        Kind::LeaderMove,
        Kind::ShardChange,
    ];

    /// Its name in scenarios and reports.
    pub fn name(self) -> &'static str {
        self.words().name
    }

    /// What it does, in a few words.
    pub fn what(self) -> &'static str {
        self.words().what
    }

    /// The same for operators who read Chinese.
    pub fn chinese(self) -> &'static str {
        self.words().chinese
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether nodes need disks of their own for it.
    pub fn needs_images(self) -> bool {
        matches!(self, Kind::PowerCut | Kind::DiskFull | Kind::DiskStall)
    }

    /// Whether nodes need namespaces of their own for it.
    pub fn needs_namespaces(self) -> bool {
        matches!(
            self,
            Kind::Partition
                | Kind::DropIn
                | Kind::DropOut
                | Kind::Bridge
                | Kind::Loss
                | Kind::Delay
        )
    }

    /// Whether it leaves wrong bytes in files.
    pub fn rots(self) -> bool {
        matches!(self, Kind::FlipSst | Kind::FlipLog | Kind::Helix)
    }

    /// Whether it works on this machine.
    ///
    /// # Errors
    /// `Unavailable` with the reason and how to get it.
    pub fn probe(self) -> Result<(), Error> {
        match self {
            Kind::Kill
            | Kind::Hold
            | Kind::FlipSst
            | Kind::FlipLog
            | Kind::Helix
            | Kind::Wipe
            | Kind::ClockJump
            | Kind::LeaderMove
            | Kind::ShardChange => Ok(()),
            Kind::Partition | Kind::DropIn | Kind::DropOut | Kind::Bridge => network::probe(),
            Kind::Loss => shape::probe_loss().map(drop),
            Kind::Delay => shape::probe_delay(),
            Kind::PowerCut | Kind::DiskFull | Kind::DiskStall => disk::probe(),
            Kind::DiskSlow | Kind::SyncError => strace::probe(),
        }
    }

    fn words(self) -> Words {
        let (name, what, chinese) = match self {
            Kind::Kill => ("process.kill", "processes killed with SIGKILL", "强制终止进程"),
            Kind::Hold => ("process.stop", "processes stopped with SIGSTOP", "挂起进程"),
            Kind::Partition => ("net.partition", "cut off from the others", "对称网络分区"),
            Kind::DropIn => ("net.drop_in", "hears nothing, is heard", "单向断网(收不到)"),
            Kind::DropOut => ("net.drop_out", "hears all, is not heard", "单向断网(发不出)"),
            Kind::Bridge => ("net.bridge", "two nodes cannot see each other", "部分分区"),
            Kind::Loss => ("net.loss", "packets lost at random", "丢包"),
            Kind::Delay => ("net.delay", "packets come late", "网络延迟"),
            Kind::PowerCut => ("disk.power_cut", "disk and process lose power", "断电"),
            Kind::DiskFull => ("disk.full", "no space left on the disk", "磁盘写满"),
            Kind::DiskStall => ("disk.stall", "writes and syncs wait", "磁盘停顿"),
            Kind::DiskSlow => ("disk.slow", "each sync takes 200 ms more", "慢盘"),
            Kind::SyncError => ("disk.sync_error", "one sync of the log fails (EIO)", "刷盘失败"),
            Kind::FlipSst => ("data.flip_sst", "bits flipped in table files", "数据文件位翻转"),
            Kind::FlipLog => ("data.flip_log", "a bit flipped in the Raft log", "日志位翻转"),
            Kind::Helix => ("data.helix", "each 4 MiB damaged on one node", "螺旋损坏"),
            Kind::Wipe => ("data.wipe", "everything stored is gone", "磁盘清空"),
            Kind::ClockJump => ("clock.jump", "the wall clock jumps", "时钟跳变"),
            Kind::LeaderMove => ("leader.move", "leaders moved by command", "命令切主"),
            Kind::ShardChange => {
                ("shard.change", "shards split, replicas moved by command", "分片分裂与迁移")
            }
        };
        Words { name, what, chinese }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_back_to_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("net.magic"), None);
    }
}
