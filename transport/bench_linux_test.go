package transport

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a datagram costs beside the system: its address and control message into a Packet,
// and back.
func BenchmarkConvert(b *testing.B) {
	for _, network := range []string{"udp4", "udp6"} {
		s := setting{system: native, network: network, ask: loopback4}
		if network == "udp6" {
			s.ask = loopback6
		}
		server, client := s.listen(b, Config{}), s.client(b)
		send(b, client, packet(s.at(server), "x"))
		p := buffers(1, 64)
		if _, err := server.ReadBatch(p); err != nil {
			b.Fatal(err)
		}
		f := server.batch.(*mmsg).reader.frames // still holds the datagram's names
		b.Run(network+"/receive", func(b *testing.B) {
			b.ReportAllocs()
			f.hdrs[0].hdr.SetControllen(len(controlOf(f)))
			for b.Loop() {
				f.take(0, &p[0])
			}
		})
		out := newFrames(f.v6)
		b.Run(network+"/send", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out.address(0, &p[0].Peer)
			}
		})
	}
}

// controlOf returns the control message that the last datagram left behind.
func controlOf(f *frames) []byte {
	n := unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	if f.v6 {
		n = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return make([]byte, n)
}

// processTime returns the CPU time of this process.
func processTime(tb testing.TB) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Datagrams there and back over loopback, through this package and by system calls alone,
// round by round: cpu-ns is the CPU time of one datagram there and back, x-bare its
// ratio to that of the system calls. All go to one peer, so that segments are at their best.
func BenchmarkBare(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
		Config
	}{{"1", 1, Config{NoSegments: true}}, {"64", 64, Config{NoSegments: true}}, {"64/segments", 64, Config{}}} {
		b.Run(c.name, func(b *testing.B) {
			s, n := setting{system: native, network: "udp4", bind: loopback4, ask: loopback4}, c.n
			server, client := s.listen(b, c.Config), s.listen(b, c.Config)
			whole, bare := echoes(b, s, server, client, n), bareEchoes(b, s, server, client, n)
			var spent [2]time.Duration
			rounds := 0
			for b.Loop() {
				for i, echo := range []func(){whole, bare} {
					began := processTime(b)
					for range 1 + 512/n {
						echo()
					}
					spent[i] += processTime(b) - began
				}
				rounds += n * (1 + 512/n)
			}
			b.ReportMetric(float64(spent[0])/float64(rounds), "cpu-ns")
			b.ReportMetric(float64(spent[0])/float64(spent[1]), "x-bare")
		})
	}
}

// bareEchoes is echoes by nothing but recvmmsg and sendmmsg, addresses and control
// messages going back as they came.
func bareEchoes(t testing.TB, s setting, server, client *UDP, n int) func() {
	out, back := newFrames(false), newFrames(false)
	buf := buffers(n, 64)
	for i := range n {
		out.hold(i, buf[i].Buf[:32])
		to := s.at(server)
		out.address(i, &to)
		back.hold(i, buf[i].Buf)
	}
	call := func(u *UDP, f *frames, trap uintptr) {
		err := u.batch.(*mmsg).raw.Control(func(fd uintptr) {
			for i := 0; i < n; {
				k, errno := f.call(trap, fd, i, n, 0)
				if errno != 0 {
					t.Fatal(errno)
				}
				i += k
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	receive := func(u *UDP) {
		for i := range n {
			back.expect(i)
		}
		call(u, back, unix.SYS_RECVMMSG)
	}
	return func() {
		call(client, out, unix.SYS_SENDMMSG)
		receive(server)
		for i := range n {
			back.iovs[i].SetLen(int(back.hdrs[i].n))
		}
		call(server, back, unix.SYS_SENDMMSG)
		for i := range n {
			back.iovs[i].SetLen(64)
		}
		receive(client)
	}
}
