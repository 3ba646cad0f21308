package transport

import (
	"net"
	"testing"

	"github.com/motewire/coap/peer"
)

// The sockets of one port share the peers; each peer stays with its socket.
func TestShards(t *testing.T) {
	for _, s := range []setting{
		{network: "udp4", bind: loopback4, ask: loopback4},
		{network: "udp6", ask: loopback6},
		{network: "udp", ask: loopback4},
	} {
		t.Run(s.network, func(t *testing.T) {
			s.system = native
			address := ":0"
			if s.bind.IsValid() {
				address = net.JoinHostPort(s.bind.String(), "0")
			}
			const shards, clients, rounds = 4, 32, 3
			all, err := ListenShards(t.Context(), s.network, address, shards, Config{})
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan [2]peer.Addr, clients*rounds) // which shard by its number as a scope, and peer
			for i, u := range all {
				defer u.Close()
				if u.LocalAddr() != all[0].LocalAddr() {
					t.Fatalf("shard %d is on %v, not %v", i, u.LocalAddr(), all[0].LocalAddr())
				}
				go func() {
					p := buffers(8, 16)
					for {
						n, err := u.ReadBatch(p)
						if err != nil {
							return
						}
						for _, p := range p[:n] {
							got <- [2]peer.Addr{peer.Addr{}.WithScope(uint32(i)), p.Peer}
						}
					}
				}()
			}
			for range clients {
				c := s.client(t)
				for range rounds {
					send(t, c, packet(s.at(all[0]), "x"))
				}
			}
			home, used := map[peer.Addr]uint32{}, map[uint32]bool{}
			for range clients * rounds {
				g := <-got
				shard, from := g[0].Scope(), g[1]
				if at, known := home[from]; known && at != shard {
					t.Errorf("%v went to shard %d and to %d", from, at, shard)
				}
				home[from], used[shard] = shard, true
			}
			if len(home) != clients || len(used) < 2 {
				t.Errorf("%d peers on %d shards, want %d on several", len(home), len(used), clients)
			}
		})
	}
}

// A port that the system chose is no one else's: a further server of this user that leaves
// the choice to the system does not come to share it.
func TestShardsOwnTheirPort(t *testing.T) {
	first, err := ListenShards(t.Context(), "udp4", "127.0.0.1:0", 2, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer first[0].Close()
	defer first[1].Close()
	u, err := Listen(t.Context(), "udp4", first[0].LocalAddr().String(), Config{})
	if err == nil {
		u.Close()
		t.Error("a socket that does not share got the port of others")
	}
}
