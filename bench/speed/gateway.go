package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// Ways to the upstream.
const (
	wayGateway = "gateway"
	wayProxy   = "httputil.ReverseProxy"
	wayDirect  = "no proxy"
)

// A road is a way to the upstream: its name, and the address to connect to.
type road struct{ name, addr string }

// roads starts an upstream and the proxies before it, each in a process of its
// own, and returns the ways through them. stop ends the processes; roads has done
// so already if it returns an error.
func (s *setting) roads() (list []road, stop func(), err error) {
	var running []*process
	stop = func() {
		for _, p := range slices.Backward(running) {
			p.stop()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	const limit = 30 * time.Second
	// listening adds a way through a process.
	listening := func(name string, p *process, err error) error {
		if err != nil {
			return err
		}
		running = append(running, p)
		addr, err := p.address(limit)
		if err != nil {
			return err
		}
		list = append(list, road{name, addr})
		return nil
	}
	p, err := s.start("upstream")
	if err := listening(wayDirect, p, err); err != nil {
		return nil, stop, err
	}
	upstream := list[0].addr
	p, err = s.start("proxy", upstream)
	if err := listening(wayProxy, p, err); err != nil {
		return nil, stop, err
	}
	s.say("building the gateway")
	binary, err := s.buildGateway()
	if err != nil {
		return nil, stop, err
	}
	args := []string{"-listen", "127.0.0.1:0"}
	for _, name := range []string{"a", "b", "c", "d"} {
		args = append(args, "-upstream", name+"=http://"+upstream)
	}
	p, err = s.startProgram(nil, binary, args...)
	if err := listening(wayGateway, p, err); err != nil {
		return nil, stop, fmt.Errorf("the gateway: %w", err)
	}
	slices.Reverse(list)
	return list, stop, nil
}

// buildGateway builds examples/gateway of the library that this program is
// built with.
func (s *setting) buildGateway() (string, error) {
	dir, err := exec.CommandContext(s, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-affinity/affinity").Output()
	if err != nil {
		return "", fmt.Errorf("where is the library? %w (start with go run -C bench ./speed)", err)
	}
	binary := filepath.Join(s.tmp, "gateway")
	out, err := exec.CommandContext(s, "go", "build", "-C", strings.TrimSpace(string(dir)), "-o", binary, "./examples/gateway").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, nil
}

// serve serves HTTP on a port of its own choice, which it writes to w.
func serve(ctx context.Context, w io.Writer, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "addr=%s\n", l.Addr())
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveProxy serves the bare proxy that the gateway is compared with.
func serveProxy(ctx context.Context, w io.Writer, upstream string) error {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: upstream}) },
		FlushInterval: -1,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	return serve(ctx, w, proxy)
}

// Events of a stream.
const (
	eventCount = 20
	eventGap   = 5 * time.Millisecond
)

// serveUpstream answers like an API of a model: at once, with a short answer,
// or with events that say when they were sent.
func serveUpstream(ctx context.Context, w io.Writer) error {
	answer := []byte(`{"id":"msg_01","type":"message","role":"assistant","content":[{"type":"text","text":"Done."}],"usage":{"input_tokens":10,"output_tokens":2}}`)
	return serve(ctx, w, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("Accept") != "text/event-stream" {
			w.Header().Set("Content-Type", "application/json")
			w.Write(answer)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		// A model thinks before it answers. (If it did not, ReverseProxy would
		// now and then break off: its transport may still look for the end of
		// the request's body when the response makes the server close it.)
		<-time.After(eventGap)
		flush := http.NewResponseController(w).Flush
		flush()
		for range eventCount {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(eventGap):
			}
			fmt.Fprintf(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"word \"},\"sent\":%d}\n\n", time.Now().UnixNano())
			flush()
		}
	}))
}

// request returns a request of a session as it goes over the wire.
func request(session int, body []byte, accept string) []byte {
	var b bytes.Buffer
	h := headersOf("X-Session-Id", peers.Key(session))
	h.Set("Accept", accept)
	h.Del("Content-Length")
	h.Del("Accept-Encoding")
	fmt.Fprintf(&b, "POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n", len(body))
	h.Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// client is one connection. One of package http would take as long as the gateway, on the
// same processors.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// ask sends a request and returns the body of the response.
func (c *client) ask(req []byte) (io.Reader, error) {
	if _, err := c.Write(req); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// A pool holds connections to one address.
type pool struct {
	addr string
	idle chan *client
}

func newPool(addr string) (*pool, error) {
	const connections = 16
	p := &pool{addr, make(chan *client, connections)}
	for range connections {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		p.idle <- c
	}
	return p, nil
}

func (p *pool) close() {
	for range cap(p.idle) {
		(<-p.idle).Close()
	}
}

// burst sends n of the requests by turns, one every gap whether or not those before are
// done, and returns the median of how long they took, in microseconds. One in a hundred
// may fail, for the reason told in serveUpstream.
func (p *pool) burst(reqs [][]byte, n int, gap time.Duration) (float64, error) {
	took, errs := make([]float64, n), make([]error, n)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		time.Sleep(time.Until(start.Add(time.Duration(i) * gap)))
		c := <-p.idle
		wg.Go(func() {
			begin := time.Now()
			body, err := c.ask(reqs[i%len(reqs)])
			if err == nil {
				_, err = io.Copy(io.Discard, body)
			}
			took[i], errs[i] = micros(time.Since(begin)), err
			if err != nil {
				c.Close()
				if again, failed := dial(p.addr); failed == nil {
					c = again
				}
			}
			p.idle <- c
		})
	}
	wg.Wait()
	good := took[:0]
	for i, err := range errs {
		if err == nil {
			good = append(good, took[i])
		}
	}
	if n-len(good) > n/100 {
		return 0, errors.Join(errs...)
	}
	return result.SpreadOf(good).Median, nil
}

// micros returns a duration in microseconds.
func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// gateway measures what examples/gateway adds to the latency of a bare proxy.
func gateway(s *setting) (result.Group, error) {
	const rate = 1000 // requests a second
	g := result.Group{
		Title: "the gateway beside a bare httputil.ReverseProxy, 1,000 requests a second on loopback",
		Notes: []string{
			"Upstream, proxy and gateway are processes of their own, on the same processors as the client. A quarter of a second each, by turns; a sample is the median of one turn.",
			"Requests are of 100 sessions, by an id in a header.",
		},
	}
	roads, stop, err := s.roads()
	if err != nil {
		return g, err
	}
	defer stop()
	for _, size := range []int{2 << 10, 64 << 10} {
		body := bodies.Agent(size, 1, "", "")
		var reqs [][]byte
		for i := range 100 {
			reqs = append(reqs, request(i, body, "application/json"))
		}
		race := result.Race{Name: bytesOf(size) + " of body", Unit: "us"}
		var pools []*pool
		for _, r := range roads {
			p, err := newPool(r.addr)
			if err != nil {
				return g, err
			}
			defer p.close()
			pools = append(pools, p)
			race.Rows = append(race.Rows, result.Row{Name: r.name})
			if _, err := p.burst(reqs, 200, time.Second/rate); err != nil { // warm up
				return g, fmt.Errorf("%s: %w", r.name, err)
			}
		}
		err := s.turns(&race, pick(s, 24, 4), func(i int) (float64, error) {
			return pools[i].burst(reqs, rate/4, time.Second/rate)
		})
		if err != nil {
			return g, err
		}
		g.Races = append(g.Races, race)
		g.AtMost("added median latency, "+race.Name, result.Difference(race.Row(wayGateway), race.Row(wayProxy)), 60, "us", "")
	}
	return g, nil
}

// streaming measures what the gateway adds to the delay of each event of a stream.
func streaming(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "events of a stream, from the upstream's write to the client's read",
		Notes: []string{
			fmt.Sprintf("%d events a stream, one every %v. A sample is the median over one stream.", eventCount, eventGap),
			"\"No added delay\" is taken for at most 25 us more than the bare proxy: what waking a goroutine up varies by.",
		},
	}
	roads, stop, err := s.roads()
	if err != nil {
		return g, err
	}
	defer stop()
	req := request(0, bodies.Agent(8<<10, 1, bodies.Head, `"stream_options":{}`), "text/event-stream")
	race := result.Race{Name: "delay of an event", Unit: "us"}
	for _, r := range roads {
		race.Rows = append(race.Rows, result.Row{Name: r.name})
	}
	err = s.turns(&race, pick(s, 40, 4), func(i int) (float64, error) { return stream(roads[i].addr, req) })
	g.Races = []result.Race{race}
	g.AtMost("added delay of an event", result.Difference(race.Row(wayGateway), race.Row(wayProxy)), 25, "us", "")
	return g, err
}

// stream sends a request, reads the stream that answers it, and returns the median delay
// of its events, in microseconds. A stream that lacks events is an error.
func stream(addr string, req []byte) (float64, error) {
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	body, err := c.ask(req)
	if err != nil {
		return 0, err
	}
	var delays []float64
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		now := time.Now().UnixNano()
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct{ Sent int64 }
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			return 0, err
		}
		delays = append(delays, micros(time.Duration(now-event.Sent)))
	}
	if len(delays) != eventCount {
		return 0, fmt.Errorf("a stream of %d events: %w", len(delays), cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
	}
	return result.SpreadOf(delays).Median, nil
}
