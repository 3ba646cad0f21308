package coap_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// tagsOf returns the Request-Tags of uploads by their Content-Format, and fails where one
// upload has two.
func tagsOf(t *testing.T, list []*message.View) map[message.Format]string {
	t.Helper()
	tags := map[message.Format]string{}
	for _, v := range list {
		tag, tagged := v.RequestTag()
		text := "none"
		if tagged {
			text = tag.String()
		}
		f, _ := v.ContentFormat()
		if was, known := tags[f]; known && was != text {
			t.Errorf("tags %s and %s in one upload", was, text)
		}
		tags[f] = text
	}
	return tags
}

// RFC 9175 §3.4: uploads that overlap have different Request-Tags, in all their blocks and
// the requests that follow them, so that they don't mix.
func TestOverlappingUploads(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(simnet.Link{Delay: 20 * time.Millisecond})
		c := s.client(nil)
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() {
				want := randomBody(uint64(i), 300)
				resp, err := c.Post(t.Context(), s.url, coap.Bytes(want, message.Format(i)))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp
			})
		}
		group.Wait()
		if list := s.take(); len(list) != 5 || list[0].Has(message.RequestTag) {
			t.Errorf("a request of one message has a tag, of %d", len(list))
		}
		for i := range 5 {
			group.Go(func() {
				want := randomBody(uint64(i), 300)
				resp, err := c.Post(t.Context(), s.url, coap.Bytes(want, message.Format(i)), coap.BlockSize(64))
				if err != nil {
					t.Error(err)
					return
				}
				expectBytes(t, resp, want)
			})
		}
		group.Wait()
		tags, seen := tagsOf(t, s.take()), map[string]bool{}
		for _, tag := range tags {
			seen[tag] = true
		}
		if len(tags) != 5 || len(seen) != 5 || !seen["none"] {
			t.Errorf("tags %v", tags)
		}
	})
}

// An upload that was given up leaves blocks on their way for EXCHANGE_LIFETIME; one that
// got its response does not.
func TestUploadAfterOneGivenUp(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.serve(message.Changed, nil)
		s.network.SetDefault(simnet.Link{Delay: 20 * time.Millisecond})
		c := s.client(nil)
		upload := func(ctx context.Context) (string, error) {
			_, err := c.Put(ctx, s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32))
			return tagsOf(t, s.take())[0], err
		}
		for range 2 {
			if tag, err := upload(t.Context()); tag != "none" || err != nil {
				t.Errorf("tag %s, %v", tag, err)
			}
		}
		if _, err := upload(timeout(t, 100*time.Millisecond)); err == nil {
			t.Fatal("it was not given up")
		}
		seen := map[string]bool{}
		for range 2 {
			tag, err := upload(t.Context())
			if seen[tag] || tag == "none" || err != nil {
				t.Errorf("tag %s, %v", tag, err)
			}
			seen[tag] = true
		}
		time.Sleep(247 * time.Second)
		if tag, err := upload(t.Context()); tag != "none" || err != nil {
			t.Errorf("tag %s after EXCHANGE_LIFETIME, %v", tag, err)
		}
	})
}

// Where no response is wanted and nothing acknowledged, the last block may still come.
func TestUploadWithoutResponse(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.serve(message.Changed, nil)
		c := s.client(nil)
		all := coap.NoResponse(coap.NoSuccess | coap.NoClientError | coap.NoServerError)
		for i, want := range []string{"none", "01"} {
			_, err := c.Put(t.Context(), s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32), all, coap.NonConfirmable)
			if tag := tagsOf(t, s.take())[0]; tag != want || err != nil {
				t.Errorf("upload %d: tag %s, %v, want %s", i, tag, err, want)
			}
		}
	})
}
