package demo

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A step is one request of the run.
type step struct {
	headline string
	shows    []string // what there is to see, in lines
	request  func(*session) *coap.Request
	code     message.Code                         // of the response
	check    func(*session, *coap.Response) error // nil: the code is all
}

// reading is what the client posts.
const reading = `{"celsius":21.5,"battery":0.87}`

var steps = []step{
	{
		headline: "Discovery: what is here?",
		shows:    []string{"One GET lists the node's resources with type, interface and format (RFC 6690)."},
		request:  get("/.well-known/core"),
		code:     message.Content,
	}, {
		headline: "GET: two datagrams are an exchange",
		shows:    []string{"The acknowledgement carries the response: it is piggybacked (RFC 7252 §5.2.1)."},
		request:  get("/temperature"),
		code:     message.Content,
	}, {
		headline: "PUT: change the state of a resource",
		shows:    []string{"The same request twice has the effect of one: PUT is idempotent (§5.8.3)."},
		request:  send(message.PUT, "/led", coap.Text("on")),
		code:     message.Changed,
	}, {
		headline: "GET: and see the change",
		request:  get("/led"),
		code:     message.Content,
		check: func(_ *session, r *coap.Response) error {
			return expect(r, "on")
		},
	}, {
		headline: "POST: create a resource",
		shows: []string{
			"2.01 names what was created. POST is not idempotent: the node recognises retransmissions",
			"by their message ID, answers them as before and executes the request once (§4.5).",
		},
		request: send(message.POST, "/readings", coap.Bytes([]byte(reading), message.AppJSON)),
		code:    message.Created,
		check: func(s *session, r *coap.Response) error {
			if s.created = r.Location(); s.created == "" {
				return errors.New("2.01 without a location")
			}
			return nil
		},
	}, {
		headline: "GET: what the POST has created",
		request:  func(s *session) *coap.Request { return get(s.created)(s) },
		code:     message.Content,
		check: func(_ *session, r *coap.Response) error {
			return expect(r, reading)
		},
	}, {
		headline: "GET: one reading, however often it was sent",
		request:  get("/readings"),
		code:     message.Content,
		check:    expectOneReading,
	}, {
		headline: "4.00: a body that is no good",
		shows:    []string{"The payload of an error is a diagnostic text for people (§5.5.2)."},
		request:  send(message.POST, "/readings", coap.Bytes([]byte(`{"celsius":`), message.AppJSON)),
		code:     message.BadRequest,
	}, {
		headline: "A slow resource: the separate response",
		shows: []string{
			"The node has nothing to say yet, acknowledges the request with an empty message so that",
			"the client stops retransmitting, and sends the response as a CON of its own (§5.2.2).",
		},
		request: get("/slow"),
		code:    message.Content,
	}, {
		headline: "4.04: no such resource",
		request:  get("/nothing"),
		code:     message.NotFound,
	}, {
		headline: "4.05: a resource without this method",
		request:  send(message.DELETE, "/hello", coap.Body{}),
		code:     message.MethodNotAllowed,
	},
}

func get(path string) func(*session) *coap.Request { return send(message.GET, path, coap.Body{}) }

func send(method message.Code, path string, body coap.Body) func(*session) *coap.Request {
	return func(s *session) *coap.Request { return coap.NewRequest(method, s.base+path, body) }
}

func expect(r *coap.Response, want string) error {
	if got := string(r.Payload()); got != want {
		return fmt.Errorf("%q, not %q", got, want)
	}
	return nil
}

func expectOneReading(_ *session, r *coap.Response) error {
	var list []any
	if err := json.Unmarshal(r.Payload(), &list); err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("%d readings, not 1", len(list))
	}
	return nil
}
