package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memoryInfo is what SO_MEMINFO tells: sock_diag(7)'s SK_MEMINFO values up to
// SK_MEMINFO_DROPS.
type memoryInfo [skMemoryDrops + 1]uint32

const skMemoryDrops = 8

// dropped reads the socket's counter of drops. Linux before 4.12 has no such option.
func (b *mmsg) dropped() (n uint32, ok bool) {
	err := b.raw.Control(func(fd uintptr) {
		var info memoryInfo
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		n, ok = info[skMemoryDrops], errno == 0 && size == uint32(unsafe.Sizeof(info))
	})
	return n, ok && err == nil
}
