package transport

import "testing"

// A reader that waits is called away, and so is the next one where nobody waits; what comes
// later is read as ever.
func TestInterrupt(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		u := s.listen(t, Config{})
		p := []Packet{{Buf: make([]byte, 16)}}
		type result struct {
			n   int
			err error
		}
		for round := range 20 {
			results := make(chan result)
			go func() {
				n, err := u.ReadBatch(p)
				results <- result{n, err}
			}()
			u.Interrupt() // before it waits or after
			if r := <-results; r != (result{}) {
				t.Fatalf("round %d: %+v", round, r)
			}
			send(t, u, packet(s.at(u), "alive"))
			if got := receive(t, u, 1, 1); got[0].text() != "alive" {
				t.Fatalf("round %d: %q", round, got[0].text())
			}
		}
		u.Close()
		u.Interrupt()
		if n, err := u.ReadBatch(p); n != 0 || err == nil {
			t.Errorf("closed: %d, %v", n, err)
		}
	})
}
