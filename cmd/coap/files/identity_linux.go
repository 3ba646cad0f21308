package files

import (
	"encoding/binary"
	"io/fs"
	"syscall"
)

// nonblock keeps open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// appendIdentity appends what else tells one file, and one state of it, from another.
func appendIdentity(dst []byte, info fs.FileInfo) []byte {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(st.Ino))
	dst = binary.BigEndian.AppendUint64(dst, uint64(st.Ctim.Sec))
	return binary.BigEndian.AppendUint64(dst, uint64(st.Ctim.Nsec))
}
