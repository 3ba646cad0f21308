package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/motewire/coap/internal/load"
	"github.com/motewire/coap/message"
)

// A mixValue are kinds of requests with their shares, as [non-]METHOD[/PATH]=SHARE,….
type mixValue []mixItem

type mixItem struct {
	name           string // METHOD with what is before and behind
	nonConfirmable bool
	code           message.Code
	path           string // with the query; empty: that of the URI
	share          int
}

// maxShare is the largest share of one kind.
const maxShare = 1000

func (v *mixValue) String() string {
	var items []string
	for _, item := range *v {
		items = append(items, fmt.Sprintf("%s=%d", item.name, item.share))
	}
	return strings.Join(items, ",")
}

func (v *mixValue) Type() string { return "LIST" }

func (v *mixValue) Set(s string) error {
	for text := range strings.SplitSeq(s, ",") {
		item, err := parseMixItem(text)
		if err != nil {
			return err
		}
		if *v = append(*v, item); len(*v) > 10 {
			return errors.New("say at most ten kinds")
		}
	}
	return nil
}

func parseMixItem(text string) (item mixItem, err error) {
	at := strings.LastIndexByte(text, '=')
	if at < 0 {
		return item, fmt.Errorf("%q: say METHOD=SHARE", text)
	}
	item.name = text[:at]
	if item.share, err = strconv.Atoi(text[at+1:]); err != nil || item.share < 1 || item.share > maxShare {
		return item, fmt.Errorf("%q: say a share from 1 to %d", text, maxShare)
	}
	method := item.name
	if slash := strings.IndexByte(method, '/'); slash >= 0 {
		method, item.path = method[:slash], method[slash:]
	}
	method, item.nonConfirmable = strings.CutPrefix(method, "non-")
	var found bool
	if item.code, found = methodNamed(method); !found {
		return item, fmt.Errorf("%q: say get, put, post, delete, fetch, patch or ipatch, maybe behind non-", method)
	}
	return item, nil
}

// methodNamed returns the method of a command.
func methodNamed(name string) (code message.Code, found bool) {
	for _, m := range requestMethods {
		if strings.EqualFold(m.name, name) {
			return m.code, true
		}
	}
	return 0, false
}

// requests returns the kinds of requests of --mix.
func (b *bench) kinds(u message.URI, payload []byte) (all []load.Request, err error) {
	for _, item := range b.mix {
		to := u
		if item.path != "" {
			other, err := parseURI("coap://host" + item.path)
			if err != nil {
				return nil, err
			}
			to.Path, to.Query = other.Path, other.Query
		}
		r := load.Request{Name: item.name, Share: item.share, Code: item.code, NonConfirmable: item.nonConfirmable || b.nonConfirmable}
		if takesPayload(item.code) {
			r.Payload = payload
		}
		r.Options = to.AppendOptions(b.given(len(r.Payload) > 0), b.peer)
		message.SortOptions(r.Options)
		all = append(all, r)
	}
	return all, nil
}

// takesPayload reports whether a payload of a request has a meaning (RFC 7252 §5.8, RFC 8132).
func takesPayload(code message.Code) bool { return code != message.GET && code != message.DELETE }

// watchers returns the load that registers the observers of --observers. A server keeps some
// hundred of one client endpoint: there are more ports where it takes more.
func (b *bench) watchers(u message.URI) load.Config {
	options := append(u.AppendOptions(b.given(false), b.peer), message.Option{Number: message.Observe})
	message.SortOptions(options)
	const ofPort = 500
	return load.Config{
		To: b.peer, Options: options, Observing: true, Sources: b.sourcesFor(max(int(b.ports), int(b.observers+ofPort-1)/ofPort)),
		Ports: max(int(b.ports), int(b.observers+ofPort-1)/ofPort), Window: 4,
	}
}

// sourcesFor returns how many source addresses so many ports have.
func (b *bench) sourcesFor(ports int) int {
	if b.sources == 0 {
		return 0
	}
	return max(int(b.sources), ports)
}
