package transport

import "sync"

// A DropCounter is a Conn that knows how many datagrams arrived and were lost before
// ReadBatch could have them.
type DropCounter interface {
	// ReceiveDrops returns how many datagrams the system has dropped since the Conn was
	// made because its receive buffer was full, or their checksum wrong; false where the
	// system does not tell. After Close it stays what it was.
	ReceiveDrops() (n uint64, ok bool)
}

// drops adds up a counter of 32 bits that the system may wrap.
type drops struct {
	mu    sync.Mutex
	last  uint32
	total uint64
	known bool
}

func (d *drops) add(now uint32) {
	d.total += uint64(now - d.last)
	d.last, d.known = now, true
}

// ReceiveDrops asks the system (see DropCounter): Linux tells (SO_MEMINFO), others don't.
func (u *UDP) ReceiveDrops() (n uint64, ok bool) {
	d := &u.drops
	d.mu.Lock()
	defer d.mu.Unlock()
	if now, ok := u.batch.dropped(); ok {
		d.add(now)
	}
	return d.total, d.known
}
