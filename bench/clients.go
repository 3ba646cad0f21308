package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/motewire/coap"
)

// clientRate is what the measured clients send per second, clientTick how often.
const (
	clientRate = 10_000
	clientTick = time.Millisecond
)

// respond answers requests by 2.05 without looking at them closer: the peers of a client
// that is measured.
func (c *child) respond() error {
	s, err := listenEcho("0.0.0.0:0", false)
	if err != nil {
		return err
	}
	go s.echo(func(i int) {
		b := s.bufs[i][:]
		end := 4 + int(b[0]&15)
		b[0], b[1] = b[0]&^0x30|2<<4, 0x45
		b[end] = 0xff
		s.hdrs[i].n = uint32(end + 1 + copy(b[end+1:], tenBytes))
	})
	ready(s.conn.LocalAddr().(*net.UDPAddr).AddrPort(), nothing)
	return nil
}

// peerOf returns the address of one of the peers, all of which one process is.
func (c *child) peerOf(i int, port uint16) netip.AddrPort {
	i = i%c.count + 1<<16 + 1
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), port)
}

// paced calls send for the requests of a second's share d, some at each tick.
func paced(d time.Duration, send func(from, n int)) {
	const each = clientRate * int(clientTick) / int(time.Second)
	ticker := time.NewTicker(clientTick)
	defer ticker.Stop()
	for sent := 0; sent < int(clientRate*d.Seconds()); sent += each {
		<-ticker.C
		send(sent, each)
	}
}

// client is this library's client. Told a duration it makes requests for that long and
// says how many were answered.
func (c *child) client(ctx context.Context) error {
	to, err := netip.ParseAddrPort(c.to)
	if err != nil {
		return err
	}
	urls := make([]string, c.count)
	for i := range urls {
		urls[i] = "coap://" + c.peerOf(i, to.Port()).String() + "/" + path
	}
	client := &coap.Client{}
	defer client.Close()
	var answered atomic.Int64
	work := make(chan int, clientRate)
	var pending sync.WaitGroup
	for range 256 {
		go func() {
			for i := range work {
				resp, err := client.Get(ctx, urls[i%len(urls)])
				if err == nil && string(resp.Payload()) == string(tenBytes) {
					answered.Add(1)
				}
				pending.Done()
			}
		}()
	}
	next := 0
	ready(to, func(line string) string {
		d, err := time.ParseDuration(line)
		if err != nil {
			return err.Error()
		}
		answered.Store(0)
		paced(d, func(_, n int) {
			pending.Add(n)
			for range n {
				work <- next
				next++
			}
		})
		pending.Wait()
		return fmt.Sprint(answered.Load())
	})
	return nil
}

// rawClient sends the same datagrams and reads the answers without a thought.
func (c *child) rawClient() error {
	to, err := netip.ParseAddrPort(c.to)
	if err != nil {
		return err
	}
	in, err := listenEcho("127.0.0.1:0", false)
	if err != nil {
		return err
	}
	out := &echoSocket{}
	out.share(in)
	var answered atomic.Int64
	go func() {
		for in.batch() == nil {
			answered.Add(int64(in.n))
			for i := range in.n {
				in.expect(i)
			}
		}
	}()
	next := 0
	ready(to, func(line string) string {
		d, err := time.ParseDuration(line)
		if err != nil {
			return err.Error()
		}
		answered.Store(0)
		paced(d, func(_, n int) {
			out.n = n
			for i := range n {
				out.question(i, next, c.peerOf(next, to.Port()))
				next++
			}
			err = errors.Join(err, out.answer())
		})
		if err != nil {
			return err.Error()
		}
		for range 100 { // the last answers
			if answered.Load() >= int64(clientRate*d.Seconds()) {
				break
			}
			time.Sleep(clientTick)
		}
		return fmt.Sprint(answered.Load())
	})
	return nil
}

// question writes a request into message i.
func (s *echoSocket) question(i, id int, to netip.AddrPort) {
	b := s.bufs[i][:0]
	b = append(b, 0x48, 0x01, byte(id>>8), byte(id))
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	b = append(append(b, 0xb0|byte(len(path))), path...)
	s.iovs[i].SetLen(len(b))
	p := to.Port()
	s.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: p<<8 | p>>8, Addr: to.Addr().As4()}
	s.hdrs[i].hdr.SetControllen(0)
}
