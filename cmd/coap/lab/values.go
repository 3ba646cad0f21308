package lab

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// The range of the temperature sensor in degrees Celsius.
const (
	coldest = -40.0
	hottest = 125.0
)

// maxText is the longest body of a single value in bytes.
const maxText = 64

func (n *Node) addValues(m *coap.Mux) {
	text := coap.Produces(message.TextPlain)
	put := []coap.RouteOption{coap.Consumes(message.TextPlain), coap.BodyLimit(maxText)}
	policy := coap.Notifications(coap.NotifyPolicy{Every: 5})
	m.HandleFunc("GET /temperature", n.getTemperature, text, coap.Observable(&n.temperatureSubject), policy,
		coap.ResourceType("temperature-c"), coap.Interface("core.s"), coap.Title("Room temperature"))
	m.HandleFunc("PUT /temperature", n.putTemperature, put...)
	m.HandleFunc("GET /humidity", n.getHumidity, text, coap.Observable(&n.humiditySubject), policy,
		coap.ResourceType("humidity-p"), coap.Interface("core.s"), coap.Title("Relative humidity"))
	m.HandleFunc("GET /led", n.getLED, text, coap.ResourceType("switch"), coap.Interface("core.a"))
	m.HandleFunc("PUT /led", n.putLED, put...)
}

func (n *Node) getTemperature(w coap.ResponseWriter, _ *coap.Request) {
	n.writeMeasured(w, &n.temperature)
}

func (n *Node) putTemperature(w coap.ResponseWriter, r *coap.Request) {
	value, err := parseTemperature(string(r.Payload()))
	if err != nil {
		coap.Error(w, message.BadRequest, err.Error())
		return
	}
	n.mu.Lock()
	n.temperature = value
	n.mu.Unlock()
	n.temperatureSubject.Notify()
}

// writeMeasured answers with a value that is out of date with the next measurement.
func (n *Node) writeMeasured(w coap.ResponseWriter, value *float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.SetMaxAge(time.Duration(n.config.Interval) * time.Second)
	writeText(w, formatValue(*value))
}

func (n *Node) getHumidity(w coap.ResponseWriter, _ *coap.Request) {
	n.writeMeasured(w, &n.humidity)
}

func (n *Node) getLED(w coap.ResponseWriter, _ *coap.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := "off"
	if n.led {
		text = "on"
	}
	writeText(w, text)
}

func (n *Node) putLED(w coap.ResponseWriter, r *coap.Request) {
	var on bool
	switch text := strings.TrimSpace(string(r.Payload())); text {
	case "on", "1":
		on = true
	case "off", "0":
	default:
		coap.Error(w, message.BadRequest, fmt.Sprintf("led: %.32q is neither on nor off", text))
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.led = on
}

// parseTemperature reads a decimal number within the sensor's range.
func parseTemperature(text string) (float64, error) {
	text = strings.TrimSpace(text)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("temperature: %.32q is not a number", text)
	}
	if !(value >= coldest && value <= hottest) { // false for NaN
		return 0, fmt.Errorf("temperature: %.32s is not between %v and %v", text, coldest, hottest)
	}
	return value, nil
}

func formatValue(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
