package reliability

import (
	"errors"
	"math"
	"testing"
	"time"
)

// RFC 7252 §4.8.2, Table 3: "the derived parameters introduced in this subsection with
// their default values".
func TestDerivedParameters(t *testing.T) {
	var p Params
	for _, tt := range []struct {
		name string
		got  time.Duration
		want time.Duration
	}{
		{"MAX_TRANSMIT_SPAN", p.MaxTransmitSpan(), 45 * time.Second},
		{"MAX_TRANSMIT_WAIT", p.MaxTransmitWait(), 93 * time.Second},
		{"MAX_LATENCY", p.WithDefaults().MaxLatency, 100 * time.Second},
		{"PROCESSING_DELAY", p.WithDefaults().ProcessingDelay, 2 * time.Second},
		{"MAX_RTT", p.MaxRTT(), 202 * time.Second},
		{"EXCHANGE_LIFETIME", p.ExchangeLifetime(), 247 * time.Second},
		{"NON_LIFETIME", p.NonLifetime(), 145 * time.Second},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

// RFC 7252 §4.8.2: "there is no need to consider MAX_TRANSMIT_WAIT if the configuration
// is chosen such that the last waiting period [...] is less than MAX_LATENCY".
func TestExchangeLifetimeCoversTransmitWait(t *testing.T) {
	p := Params{MaxLatency: -1, ProcessingDelay: -1}
	if got, want := p.ExchangeLifetime(), p.MaxTransmitWait(); got != want {
		t.Errorf("ExchangeLifetime = %v, want %v", got, want)
	}
}

func TestValidateRefusesNonsense(t *testing.T) {
	bad := map[string]Config{
		"timeout":      {Params: Params{AckTimeout: -time.Second}},
		"factor":       {Params: Params{AckRandomFactor: 0.9}},
		"not a number": {Params: Params{AckRandomFactor: math.NaN()}},
		"retransmit":   {Params: Params{MaxRetransmit: 31}},
		"wait":         {Params: Params{MaxRetransmit: 30}},
		"latency":      {Params: Params{MaxLatency: math.MaxInt64}},
		"leisure":      {Params: Params{DefaultLeisure: math.MaxInt64}},
		"response":     {ResponseTimeout: -1},
		"dedup":        {DedupBytes: 1000},
		"inbound":      {MaxInbound: -1},
		"outbound":     {MaxOutbound: 1<<30 + 1},
	}
	for name, cfg := range bad {
		if err := cfg.Validate(); !errors.Is(err, ErrParams) {
			t.Errorf("%s: Validate = %v, want ErrParams", name, err)
		}
	}
	good := map[string]Config{
		"zero": {},
		"none": {Params: Params{MaxRetransmit: -1, NStart: -1, DefaultLeisure: -1, ProbingRate: -1, MaxLatency: -1}},
		"fast": {Params: Params{AckTimeout: time.Millisecond, AckRandomFactor: 1}},
	}
	for name, cfg := range good {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: Validate = %v", name, err)
		}
	}
}

func TestDefaultsAreStable(t *testing.T) {
	once := Config{Params: Params{MaxRetransmit: -1, ProbingRate: -1}}.withDefaults()
	if twice := once.withDefaults(); twice != once {
		t.Errorf("defaults applied twice: %+v, once: %+v", twice, once)
	}
}

// The Empty Acknowledgement leaves before the client would retransmit (RFC 7252 §5.2.2).
func TestAckDelayBelowAckTimeout(t *testing.T) {
	c := Config{Params: Params{AckTimeout: 50 * time.Millisecond}}.withDefaults()
	if c.AckDelay >= c.AckTimeout {
		t.Errorf("AckDelay = %v with AckTimeout %v", c.AckDelay, c.AckTimeout)
	}
}
