package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// maxReading is the longest reading in bytes.
const maxReading = 256

// maxList is the longest list of readings in bytes: it fits into one message (RFC 7252
// §4.6). Of older readings the node forgets as many as exceed it.
const maxList = 1024

// readings are what clients have posted, the newest ones, in order.
type readings struct {
	last uint64 // id of the newest; 0: there was none
	kept []reading
	size int // of the list in bytes, but for the opening bracket
}

// A reading is a JSON value under an id.
type reading struct {
	id   string
	text []byte
}

// appendTo appends the reading as an item of the list.
func (r reading) appendTo(list []byte) []byte {
	list = append(list, `{"id":`...)
	list = append(list, r.id...)
	list = append(list, `,"reading":`...)
	list = append(list, r.text...)
	return append(list, '}')
}

// size is how many bytes the reading adds to the list, with the comma or bracket after it.
func (r reading) size() int { return len(r.appendTo(nil)) + 1 }

// add keeps a reading, forgets as many old ones as it takes and returns the new id.
func (rs *readings) add(text []byte) (id string) {
	rs.last++
	r := reading{strconv.FormatUint(rs.last, 10), text}
	rs.kept = append(rs.kept, r)
	rs.size += r.size()
	old := 0
	for ; 1+rs.size > maxList; old++ {
		rs.size -= rs.kept[old].size()
	}
	rs.kept = slices.Delete(rs.kept, 0, old)
	return r.id
}

// list returns the readings as a JSON array.
func (rs *readings) list() []byte {
	list := []byte{'['}
	for i, r := range rs.kept {
		if i > 0 {
			list = append(list, ',')
		}
		list = r.appendTo(list)
	}
	return append(list, ']')
}

// find returns the text of the reading of that id, nil where there is none.
func (rs *readings) find(id string) []byte {
	i := slices.IndexFunc(rs.kept, func(r reading) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return rs.kept[i].text
}

func (n *Node) addReadings(m *coap.Mux) {
	format := coap.Produces(message.AppJSON)
	m.HandleFunc("GET /readings", n.listReadings, format,
		coap.ResourceType("readings"), coap.Interface("core.b"))
	m.HandleFunc("POST /readings", n.postReading, coap.Consumes(message.AppJSON), coap.BodyLimit(maxReading))
	m.HandleFunc("GET /readings/{id}", n.getReading, format)
}

func (n *Node) listReadings(w coap.ResponseWriter, _ *coap.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.SetContentFormat(message.AppJSON)
	w.Write(n.readings.list())
}

func (n *Node) getReading(w coap.ResponseWriter, r *coap.Request) {
	id := r.PathValue("id")
	n.mu.Lock()
	text := n.readings.find(id)
	n.mu.Unlock()
	if text == nil {
		coap.Error(w, message.NotFound, "no such reading, or it is too old")
		return
	}
	w.SetContentFormat(message.AppJSON)
	w.Write(text)
}

func (n *Node) postReading(w coap.ResponseWriter, r *coap.Request) {
	text, err := compactJSON(r.Payload())
	if err != nil {
		coap.Error(w, message.BadRequest, "reading: "+err.Error())
		return
	}
	n.mu.Lock()
	id := n.readings.add(text)
	n.mu.Unlock()
	w.SetCode(message.Created)
	w.SetLocation("/readings/" + id)
}

// compactJSON checks one JSON value and returns a copy without white space.
func compactJSON(text []byte) ([]byte, error) {
	if !utf8.Valid(text) { // RFC 8259 §8.1
		return nil, errors.New("not UTF-8")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
