package coap_test

import (
	"context"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// slowWriter takes a second for each batch.
type slowWriter struct{ transport.Conn }

func (s slowWriter) WriteBatch(p []transport.Packet) (int, error) {
	time.Sleep(time.Second)
	return s.Conn.WriteBatch(p)
}

// A response is to be acknowledged (RFC 7252 §4.2), also where the program closes its
// client, or ends, as soon as it has the response.
func TestAcknowledgementLeavesBeforeTheCallerWakes(t *testing.T) {
	withServer(t, slow(3*time.Second, "late"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		listen := coaptest.Listen(s.Network)
		client := &coap.Client{Listen: func(ctx context.Context, network string) (transport.Conn, error) {
			conn, err := listen(ctx, network)
			return slowWriter{conn}, err
		}}
		checkResponse(t, get(t, client, s.URL+"/"), message.Content, "late")
		client.Close()
		time.Sleep(time.Minute) // what was not acknowledged would be sent again
		w.expect(t, "1s > CON 0.01", "1.1s < ACK 0.00", "4s < CON 2.05", "5s > ACK 0.00")
	})
}
