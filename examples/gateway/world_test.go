package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// world is a gateway before upstreams that live in memory and virtual time.
type world struct {
	t *testing.T
	g *gateway

	model string // that requests are for

	mu     sync.Mutex
	does   map[string]func() (*http.Response, error) // by upstream; nil serves
	hits   map[string]int
	seen   map[string]map[string]bool // by session: who answered
	lost   int
	broken int // streams that had begun
}

// inWorld runs a test in virtual time, with n upstreams, beside other tests.
func inWorld(t *testing.T, n int, test func(*testing.T, *world), adjust ...func(*options)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, n, adjust...)) })
}

func newWorld(t *testing.T, n int, adjust ...func(*options)) *world {
	w := &world{t: t, model: "m", does: map[string]func() (*http.Response, error){}, hits: map[string]int{}, seen: map[string]map[string]bool{}}
	o := options{ttl: time.Hour, capacity: 10_000, bodyLimit: 1 << 20, cooldown: 10 * time.Second, patience: 15 * time.Second,
		hold: 10 * time.Second, slow: 4, failover: affinity.FailoverReturn}
	for i := range n {
		name := string(rune('a' + i))
		o.upstreams = append(o.upstreams, &upstream{name: name, url: &url.URL{Scheme: "https", Host: name}})
	}
	for _, a := range adjust {
		a(&o)
	}
	var err error
	w.g, err = newGateway(o, extract.Default(), slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	t.Cleanup(w.g.close)
	w.g.send, w.g.fresh = w, w
	// In a bubble, a timer that is due at once runs on the goroutine that starts it, in a race context
	// that all of these share: with the race detector, Go 1.26 crashes. ReverseProxy starts such a
	// timer for each stream, unless it takes it for something else.
	modify := w.g.proxy.ModifyResponse
	w.g.proxy.ModifyResponse = func(resp *http.Response) error {
		err := modify(resp)
		resp.Header.Del("Content-Type")
		resp.ContentLength = max(resp.ContentLength, 0)
		return err
	}
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	take(r)
	w.mu.Lock()
	w.hits[r.URL.Host]++
	does := w.does[r.URL.Host]
	w.mu.Unlock()
	if does == nil {
		does = serves(50 * time.Millisecond)
	}
	resp, err := does()
	var network *net.OpError
	if got := httptrace.ContextClientTrace(r.Context()).GotConn; !errors.As(err, &network) || network.Op == "read" {
		got(httptrace.GotConnInfo{})
	}
	if err == errHangs {
		<-r.Context().Done()
	}
	if r.Context().Err() != nil { // given up
		return nil, r.Context().Err() // as package http has it for HTTP/2
	}
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// take reads a request, as an upstream does.
func take(r *http.Request) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if wrote := httptrace.ContextClientTrace(r.Context()).WroteRequest; wrote != nil {
		wrote(httptrace.WroteRequestInfo{})
	}
}

var errHangs = errors.New("hangs")

// let says what an upstream does from now on.
func (w *world) let(name string, does func() (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.does[name] = does
}

// letAll says so of all of them.
func (w *world) letAll(does func() (*http.Response, error)) {
	for _, u := range w.g.upstreams {
		w.let(u.name, does)
	}
}

func stream(parts ...any) *http.Response {
	body := &partsReader{parts: parts}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, ContentLength: -1, Body: io.NopCloser(body)}
}

// partsReader reads texts, errors and pauses.
type partsReader struct{ parts []any }

func (p *partsReader) Read(b []byte) (int, error) {
	for len(p.parts) > 0 {
		part := p.parts[0]
		p.parts = p.parts[1:]
		switch part := part.(type) {
		case string:
			n := copy(b, part)
			if n < len(part) {
				p.parts = append([]any{part[n:]}, p.parts...)
			}
			return n, nil
		case error:
			return 0, part
		case time.Duration:
			<-time.After(part)
		}
	}
	return 0, io.EOF
}

const (
	first = "data: {\"choices\":[]}\n\n"
	final = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":50,\"prompt_tokens_details\":{\"cached_tokens\":900}}}\n\n"
)

// overloaded is what a stream says that has failed.
var overloaded = tells("overloaded_error")

// tells is an event that tells of an error.
func tells(kind string) string {
	return fmt.Sprintf("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":%q}}\n\n", kind)
}

func fails(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}

func streams(parts ...any) func() (*http.Response, error) {
	return func() (*http.Response, error) { return stream(parts...), nil }
}

func serves(begins time.Duration) func() (*http.Response, error) {
	return streams(begins, first, 100*time.Millisecond, final)
}

func refuses(code int, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		set(h, header)
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

// request is a request as a server makes it: what breaks off panics.
func (w *world) request(method, path string, body io.Reader, header ...string) *http.Request {
	ctx := context.WithValue(w.t.Context(), http.ServerContextKey, new(http.Server))
	r := httptest.NewRequestWithContext(ctx, method, path, body)
	set(r.Header, header)
	return r
}

// ask sends a request and returns its answer.
func (w *world) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.g.ServeHTTP(rec, w.request(method, path, strings.NewReader(body), header...))
	return rec
}

// do sends a request of a session, and returns who answered it and with what.
func (w *world) do(session string, header ...string) (target string, status int) {
	body := `{"model":"` + w.model + `","stream":true}`
	r := w.request("POST", "/v1/chat/completions", strings.NewReader(body), append(header, "X-Session-ID", session)...)
	rec := httptest.NewRecorder()
	aborted := func() (aborted bool) {
		defer func() {
			if v := recover(); v == http.ErrAbortHandler {
				aborted = true
			} else if v != nil {
				panic(v)
			}
		}()
		w.g.ServeHTTP(rec, r)
		return false
	}()
	target = rec.Header().Get(targetHeader)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case aborted:
		w.broken++
	case rec.Code != 200 || !bytes.HasSuffix(rec.Body.Bytes(), []byte(final)):
		w.lost++
	}
	if w.seen[session] == nil {
		w.seen[session] = map[string]bool{}
	}
	w.seen[session][target] = true
	return target, rec.Code
}

// run lets each of the sessions send a request every two seconds or so, for d.
// It returns the share of each upstream in what was answered.
func (w *world) run(prefix string, sessions int, d time.Duration) map[string]float64 {
	var mu sync.Mutex
	counts, all := map[string]float64{}, 0.0
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			<-time.After(time.Duration(rand.Int64N(int64(2 * time.Second))))
			for time.Now().Before(end) {
				target, _ := w.do(fmt.Sprint(prefix, i))
				mu.Lock()
				counts[target]++
				all++
				mu.Unlock()
				<-time.After(time.Second + time.Duration(rand.Int64N(int64(2*time.Second))))
			}
		})
	}
	wg.Wait()
	for name := range counts {
		counts[name] /= all
	}
	return counts
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type closeFunc func()

func (f closeFunc) Close() error { f(); return nil }

type rtFunc func(*http.Request) (*http.Response, error)

func (f rtFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
