package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// maxInterval is the longest interval in seconds.
const maxInterval = 3600

// maxName is the longest name in bytes.
const maxName = 32

// maxConfig is the longest body of a configuration in bytes.
const maxConfig = 512

// A config is the representation of /config.
type config struct {
	Name     string `json:"name"`
	Interval int    `json:"interval"` // seconds between two measurements
}

func (n *Node) addConfig(m *coap.Mux) {
	m.HandleFunc("GET /config", n.getConfig, coap.Produces(message.AppJSON),
		coap.ResourceType("config"), coap.Interface("core.p"))
	m.HandleFunc("PUT /config", n.putConfig, coap.Consumes(message.AppJSON), coap.BodyLimit(maxConfig))
	m.HandleFunc("GET /config/interval", n.getInterval, coap.Produces(message.TextPlain),
		coap.ResourceType("interval-s"), coap.Interface("core.p"))
	m.HandleFunc("PUT /config/interval", n.putInterval, coap.Consumes(message.TextPlain), coap.BodyLimit(maxText))
}

func (n *Node) getConfig(w coap.ResponseWriter, _ *coap.Request) {
	n.mu.Lock()
	text, err := json.Marshal(n.config)
	n.mu.Unlock()
	if err != nil {
		coap.Error(w, message.InternalServerError, err.Error())
		return
	}
	w.SetContentFormat(message.AppJSON)
	w.Write(text)
}

// putConfig replaces the configuration as a whole or, where anything is wrong, not at all.
func (n *Node) putConfig(w coap.ResponseWriter, r *coap.Request) {
	c, err := parseConfig(r.Payload())
	if err != nil {
		coap.Error(w, message.BadRequest, "config: "+err.Error())
		return
	}
	n.configure(func(old *config) { *old = c })
}

func (n *Node) getInterval(w coap.ResponseWriter, _ *coap.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	writeText(w, strconv.Itoa(n.config.Interval))
}

func (n *Node) putInterval(w coap.ResponseWriter, r *coap.Request) {
	text := strings.TrimSpace(string(r.Payload()))
	seconds, err := strconv.Atoi(text)
	if err != nil {
		coap.Error(w, message.BadRequest, fmt.Sprintf("interval: %.32q is not a whole number", text))
		return
	}
	if err := checkInterval(seconds); err != nil {
		coap.Error(w, message.BadRequest, err.Error())
		return
	}
	n.configure(func(c *config) { c.Interval = seconds })
}

// parseConfig reads a configuration, in which every member must be there and no other.
func parseConfig(text []byte) (config, error) {
	var in struct {
		Name     *string `json:"name"`
		Interval *int    `json:"interval"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return config{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return config{}, errors.New("more than one JSON value")
	}
	switch {
	case in.Name == nil:
		return config{}, errors.New("name is missing")
	case in.Interval == nil:
		return config{}, errors.New("interval is missing")
	case len(*in.Name) < 1 || len(*in.Name) > maxName:
		return config{}, fmt.Errorf("name has %d bytes, not 1 to %d", len(*in.Name), maxName)
	}
	return config{Name: *in.Name, Interval: *in.Interval}, checkInterval(*in.Interval)
}

func checkInterval(seconds int) error {
	if seconds < 1 || seconds > maxInterval {
		return fmt.Errorf("interval: %d is not between 1 and %d", seconds, maxInterval)
	}
	return nil
}
