package coap_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// Drop holds the shard's lock for a portion of the observers at a time. Who registers
// meanwhile, or again, stays, and is told of changes; the others are not; other subjects
// are not concerned.
func TestObserveDropInPortions(t *testing.T) {
	const observers, portion = 1000, 256
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p, other := newRawPeer(t, s), newRawPeer(t, s)
		for i := range observers {
			token, _ := message.MakeToken(binary.BigEndian.AppendUint16(nil, uint16(i)))
			p.send(datagram(t, message.NonConfirmable, message.GET, message.ID(i), token, "", observeRegister, path("thing")))
			p.observed(p.receive(0))
		}
		again := message.ID(observers)
		left, round := observers, byte(0)
		for n := range o.thing.Dropping() {
			if left -= n; n == 0 || n > portion {
				t.Errorf("a portion of %d", n)
			}
			token, _ := message.MakeToken([]byte{3, 0xe7}) // the last one, which is there still
			if round == 0 {
				p.send(datagram(t, message.NonConfirmable, message.GET, again, token, "", observeRegister, path("thing")))
				p.observed(p.receive(0))
				left--
				other.register(1, 77, "con") // takes a number of a resource
			}
			other.register(message.ID(10+round), round, "thing")
			round++
			checkObservers(t, s, left+1+1+int(round))
			o.thing.Notify()
			p.receive(0)
			for range round {
				other.observed(other.receive(0))
			}
			o.con.Set(100 + int(round))
			other.ack(other.notified(0, message.Confirmable, 77, fmt.Sprint(100+int(round))))
			p.silence(time.Second)
			other.silence(time.Second)
		}
		if left != 0 || round != observers/portion+1 {
			t.Errorf("%d left after %d portions", left, round)
		}
		o.con.Set(2)
		other.ack(other.notified(0, message.Confirmable, 77, "2"))
		o.thing.Drop()
		o.thing.Notify()
		p.silence(time.Minute)
		other.silence(time.Minute)
		if n := checkObservers(t, s, 1).Observations; n.DroppedSilently != observers-1+1+uint64(round) {
			t.Errorf("%+v", n)
		}
	})
}

// A server that closes while observations are dropped ends the dropping.
func TestObserveDropAcrossClose(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		for token := range byte(255) {
			p.register(message.ID(token), token, "thing")
		}
		other := newRawPeer(t, s)
		for token := range byte(255) {
			other.register(message.ID(token), token, "thing")
		}
		portions := 0
		for range o.thing.Dropping() {
			s.Close()
			portions++
		}
		if portions > 2 {
			t.Errorf("%d portions", portions)
		}
		o.thing.Drop()
	})
}
