package blockwise

// Stats are the counters of an [Assembler] since it was made and, at the end, what it
// holds now. Names are stable.
type Stats struct {
	Blocks     uint64 // requests with Block1
	Started    uint64 // transfers of more than one block
	Completed  uint64 // of these
	Duplicates uint64 // blocks that were taken before
	Repeated   uint64 // last blocks of bodies that were complete
	Restarted  uint64 // transfers given up for a new block 0 of the same
	Expired    uint64 // transfers that were idle for too long
	Evicted    uint64 // transfers that made room for others, in the list or in memory
	Abandoned  uint64 // streams ended by End

	Incomplete uint64 // requests answered with 4.08
	TooLarge   uint64 // with 4.13
	Bad        uint64 // with 4.00
	Busy       uint64 // with 5.03

	// What is there now.
	Transfers     int // unfinished
	TransferBytes int // memory charged for them
	Finished      int // bodies of which the last block is recognised
	SpareBytes    int // buffers kept for use, at most 1 MiB
}

// Stats returns the counters and what the Assembler holds.
func (a *Assembler) Stats() Stats {
	s := a.stats
	s.Transfers, s.TransferBytes = a.live.all.length, a.live.all.bytes
	s.Finished, s.SpareBytes = a.done.all.length, a.buffers.bytes
	return s
}

// StoreStats are the counters of a [Store] since it was made and, at the end, what it
// holds now. Names are stable.
type StoreStats struct {
	Kept     uint64 // snapshots taken
	Replaced uint64 // of these, given up for a newer one of the same request
	Expired  uint64 // not asked for any more
	Evicted  uint64 // gone to make room for others
	Refused  uint64 // not kept: larger than all there is room for
	Found    uint64 // requests answered from a snapshot
	Missed   uint64 // requests for which there was none

	// What is there now.
	Snapshots     int
	SnapshotBytes int // memory charged for them
}

// Stats returns the counters and what the Store holds.
func (s *Store) Stats() StoreStats {
	stats := s.stats
	stats.Snapshots, stats.SnapshotBytes = s.kept.all.length, s.kept.all.bytes
	return stats
}
