package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap"
)

// A process is a contestant that runs.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner // of its standard output
	addr  netip.AddrPort
	// foreign says that the process does not end with its standard input.
	foreign bool
}

// startChild starts this program in a role. It tells its address when it is ready, and
// ends with its standard input.
func startChild(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, self, "", append([]string{"-role", role}, args...)...)
	if err != nil {
		return nil, err
	}
	line, err := p.line()
	if err == nil {
		p.addr, err = netip.ParseAddrPort(line)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return p, nil
}

func start(ctx context.Context, program, dir string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}, nil
}

// line returns the next line of the output.
func (p *process) line() (string, error) {
	if !p.lines.Scan() {
		return "", errors.New("ended without a word")
	}
	return p.lines.Text(), nil
}

// ask writes a line to a child and returns the one that it answers.
func (p *process) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		return "", err
	}
	return p.line()
}

// stop ends the process: its input ends, and after a while, or where that is nothing to
// it, it is killed.
func (p *process) stop() {
	p.stdin.Close()
	if p.foreign {
		_ = p.cmd.Process.Kill()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// cpu returns the time that the process has run on a CPU, user and system.
func (p *process) cpu() (time.Duration, error) {
	ns, _, err := p.schedstat()
	return time.Duration(ns), err
}

// schedstat sums the run time in nanoseconds and the number of time slices over the
// threads.
func (p *process) schedstat() (ns, slices int64, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err == nil && len(files) == 0 {
		err = errors.New("the server has ended, or the kernel has no schedstat")
	}
	for _, file := range files {
		b, readErr := os.ReadFile(file)
		if readErr != nil {
			continue // the thread has ended
		}
		var run, wait, n int64
		if _, err := fmt.Sscan(string(b), &run, &wait, &n); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", file, err)
		}
		ns += run
		slices += n
	}
	return ns, slices, err
}

// rss returns the resident memory in bytes.
func (p *process) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// freeAddr returns an address on loopback that nobody uses now.
func freeAddr() (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// await waits until a server answers pings, and creates the measured resource if asked to.
func await(ctx context.Context, addr netip.AddrPort, create bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := coap.Client{Params: coap.Params{AckTimeout: 100 * time.Millisecond, MaxRetransmit: 6}}
	defer c.Close()
	url := "coap://" + addr.String() + "/" + path
	var err error
	for range 100 {
		if create {
			_, err = c.Put(ctx, url, coap.Text(string(tenBytes)))
		} else {
			_, err = c.Get(ctx, url)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // refused: not yet bound
	}
	return err
}
