package coap_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// RFC 7252 §4.7: "an endpoint does not exceed an average data rate of PROBING_RATE in sending to
// another endpoint that does not respond": after 4 KiB a byte a second, which one who answers
// does not feel.
func TestSilentPeerIsProbed(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		silent, url := rawServer(t, n)
		c := &coap.Client{Listen: coaptest.Listen(n), ResponseTimeout: time.Minute}
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 64 {
			go func() {
				_, err := c.Put(ctx, url, coap.Raw(make([]byte, 500)), coap.NonConfirmable)
				if err != nil && !errors.Is(err, coap.ErrResponseTimeout) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
		}
		bytes := 0
		for began := time.Now(); time.Since(began) < 2*time.Hour; time.Sleep(time.Second) {
			for len(silent.in) > 0 {
				bytes += len(<-silent.in)
			}
			if most := 4096 + int(time.Since(began)/time.Second); bytes > most {
				t.Fatalf("%d bytes after %v, at most %d", bytes, time.Since(began), most)
			}
		}
		if bytes < 4096+7200-1000 {
			t.Errorf("%d bytes in two hours", bytes)
		}
		silent.answer(func(v *message.View) []byte {
			return datagram(t, message.NonConfirmable, message.Changed, v.ID(), v.Token(), "")
		})
		for began := time.Now(); time.Since(began) < time.Minute; {
			if _, err := c.Put(ctx, url, coap.Raw(make([]byte, 500)), coap.NonConfirmable); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}
