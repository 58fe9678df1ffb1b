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
func (s *session) roads() (list []road, stop func(), err error) {
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
	// listening returns the address that a child tells.
	listening := func(p *process, err error) (string, error) {
		if err != nil {
			return "", err
		}
		running = append(running, p)
		line, err := p.out.ReadString('\n')
		return strings.TrimSpace(line), err
	}
	upstream, err := listening(s.start("upstream"))
	if err != nil {
		return nil, stop, err
	}
	proxy, err := listening(s.start("proxy", upstream))
	if err != nil {
		return nil, stop, err
	}
	s.say("building the gateway")
	binary, err := s.buildGateway()
	if err != nil {
		return nil, stop, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, stop, err
	}
	args := []string{"-listen", addr}
	for _, name := range []string{"a", "b", "c", "d"} {
		args = append(args, "-upstream", name+"=http://"+upstream)
	}
	p, err := s.startProgram(nil, binary, args...)
	if err != nil {
		return nil, stop, err
	}
	running = append(running, p)
	if err := s.await(addr); err != nil {
		return nil, stop, fmt.Errorf("the gateway: %w", err)
	}
	return []road{{wayGateway, addr}, {wayProxy, proxy}, {wayDirect, upstream}}, stop, nil
}

// buildGateway builds examples/gateway of the library that this program is
// built with.
func (s *session) buildGateway() (string, error) {
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

// freeAddr returns an address that nobody listens on, for now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await waits until somebody listens at addr, for ten seconds at most.
func (s *session) await(addr string) error {
	for start := time.Now(); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Since(start) > 10*time.Second || s.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// serve serves HTTP on a port of its own choice, which it writes to w.
func serve(ctx context.Context, w io.Writer, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(w, l.Addr())
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

// client is one connection.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// do sends a request and reads the response to its end. It returns the
// response's header.
func (c *client) do(req []byte) (http.Header, error) {
	if _, err := c.conn.Write(req); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp.Header, err
}

// A pool holds connections to one address, and requests to send by turns.
type pool struct {
	addr string
	idle chan *client
	reqs [][]byte
	next int
}

func newPool(addr string, reqs [][]byte) (*pool, error) {
	const connections = 16
	p := &pool{addr: addr, idle: make(chan *client, connections), reqs: reqs}
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
		(<-p.idle).conn.Close()
	}
}

// burst sends n requests, one every gap whether or not those before are done,
// and returns how long they took. One in a hundred may fail, for the reason
// told in serveUpstream.
func (p *pool) burst(ctx context.Context, n int, gap time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var errs []error
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		if d := time.Until(start.Add(time.Duration(i) * gap)); d > 0 {
			time.Sleep(d)
		}
		if ctx.Err() != nil {
			break
		}
		req := p.reqs[p.next%len(p.reqs)]
		p.next++
		c := <-p.idle
		wg.Go(func() {
			begin := time.Now()
			_, err := c.do(req)
			d := time.Since(begin)
			if err != nil {
				c.conn.Close()
				if again, failed := dial(p.addr); failed == nil {
					c = again
				}
			}
			p.idle <- c
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			took = append(took, d)
		})
	}
	wg.Wait()
	if len(errs) > n/100 {
		return nil, errors.Join(errs...)
	}
	return took, ctx.Err()
}

// gateway measures what examples/gateway adds to the latency of a bare proxy.
func gateway(s *session) (result.Group, error) {
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
		body := bodies.Valid(bodies.Agent(size, 1, "", "", ""))
		var reqs [][]byte
		for i := range 100 {
			reqs = append(reqs, request(i, body, "application/json"))
		}
		race := result.Race{Name: bytesOf(size) + " of body", Unit: "us"}
		var pools []*pool
		for _, r := range roads {
			p, err := newPool(r.addr, reqs)
			if err != nil {
				return g, err
			}
			defer p.close()
			pools = append(pools, p)
			race.Rows = append(race.Rows, result.Row{Name: r.name})
			if _, err := p.burst(s, 200, time.Second/rate); err != nil { // warm up
				return g, fmt.Errorf("%s: %w", r.name, err)
			}
		}
		rounds := pick(s, 24, 4)
		for round := range rounds {
			s.say("%s: round %d of %d", race.Name, round+1, rounds)
			for j := range pools {
				i := (round + j) % len(pools)
				took, err := pools[i].burst(s, rate/4, time.Second/rate)
				if err != nil {
					return g, fmt.Errorf("%s: %w", roads[i].name, err)
				}
				race.Rows[i].Samples = append(race.Rows[i].Samples, micros(took))
			}
		}
		g.Races = append(g.Races, race)
		g.Verdicts = append(g.Verdicts, result.Verdict{
			Target: "added median latency, " + race.Name, Value: result.Difference(race.Row(wayGateway), race.Row(wayProxy)), Unit: "us", Limit: 60, AtMost: true,
		})
	}
	return g, nil
}

// micros returns the median of some durations, in microseconds.
func micros(took []time.Duration) float64 {
	var all []float64
	for _, d := range took {
		all = append(all, float64(d.Nanoseconds())/1e3)
	}
	return result.SpreadOf(all).Median
}

// streaming measures what the gateway adds to the delay of each event of a stream.
func streaming(s *session) (result.Group, error) {
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
	race := result.Race{Name: "delay of an event", Unit: "us"}
	for _, r := range roads {
		race.Rows = append(race.Rows, result.Row{Name: r.name})
	}
	body := bodies.Valid(bodies.Agent(8<<10, 1, `"stream_options":{}`, "", ""))
	rounds := pick(s, 40, 4)
	for round := range rounds {
		s.say("round %d of %d", round+1, rounds)
		for j := range roads {
			i := (round + j) % len(roads)
			delays, err := stream(roads[i].addr, request(round, body, "text/event-stream"))
			if err != nil {
				return g, fmt.Errorf("%s: %w", roads[i].name, err)
			}
			race.Rows[i].Samples = append(race.Rows[i].Samples, micros(delays))
		}
	}
	g.Races = []result.Race{race}
	g.Verdicts = []result.Verdict{{
		Target: "added delay of an event", Value: result.Difference(race.Row(wayGateway), race.Row(wayProxy)), Unit: "us", Limit: 25, AtMost: true,
	}}
	return g, nil
}

// stream sends a request, reads the stream that answers it, and returns the delay
// of each event. A stream that lacks events is an error.
func stream(addr string, req []byte) ([]time.Duration, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	if _, err := c.conn.Write(req); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var delays []time.Duration
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		sent, ok, err := sentAt(lines.Text())
		if err != nil {
			return nil, err
		}
		if ok {
			delays = append(delays, time.Duration(time.Now().UnixNano()-sent))
		}
	}
	if len(delays) != eventCount {
		return nil, fmt.Errorf("a stream of %d events: %w", len(delays), cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
	}
	return delays, nil
}

// sentAt reads from a line of a stream when the event was sent, in nanoseconds
// since 1970. It reports false for a line that has no data.
func sentAt(line string) (int64, bool, error) {
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok {
		return 0, false, nil
	}
	var event struct{ Sent int64 }
	err := json.Unmarshal([]byte(data), &event)
	return event.Sent, true, err
}
