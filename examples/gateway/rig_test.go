package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// backend is an upstream whose answers a test chooses.
type backend struct {
	*httptest.Server
	name   string
	answer atomic.Pointer[http.HandlerFunc]
	hits   atomic.Int64
}

// rig is a gateway before some backends.
type rig struct {
	t        testing.TB
	g        *gateway
	front    *httptest.Server
	backends []*backend
	log      *safeBuffer
	client   *http.Client
	busy     sync.WaitGroup // requests in the gateway, hijacked ones too
}

func newRig(t testing.TB, n int, adjust ...func(*options)) *rig {
	t.Helper()
	transport := &http.Transport{DisableCompression: true} // adds no header
	t.Cleanup(transport.CloseIdleConnections)
	r := &rig{t: t, log: new(safeBuffer), client: &http.Client{Transport: transport}}
	o := options{ttl: time.Hour, capacity: 1000, bodyLimit: 1 << 20, cooldown: time.Hour, hold: time.Hour}
	for i := range n {
		b := &backend{name: string(rune('a' + i))}
		b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			b.hits.Add(1)
			(*b.answer.Load())(w, req)
		}))
		t.Cleanup(b.Close)
		b.does(func(w http.ResponseWriter, req *http.Request) { fmt.Fprintf(w, "answer of %s", b.name) })
		u, err := url.Parse(b.URL)
		require.NoError(t, err)
		o.upstreams = append(o.upstreams, &upstream{name: b.name, url: u})
		r.backends = append(r.backends, b)
	}
	for _, a := range adjust {
		a(&o)
	}
	var err error
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.g, err = newGateway(o, extract.Default(), log, nil)
	require.NoError(t, err)
	t.Cleanup(r.g.close)
	r.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.busy.Add(1)
		defer r.busy.Done()
		r.g.ServeHTTP(w, req)
	}))
	t.Cleanup(r.front.Close)
	return r
}

// keyed gives all upstreams that key of their own.
func keyed(key string) func(*options) {
	return func(o *options) {
		for _, u := range o.upstreams {
			u.key = key
		}
	}
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (b *backend) does(h http.HandlerFunc) { b.answer.Store(&h) }

func (b *backend) answers(status int, header ...string) {
	b.does(func(w http.ResponseWriter, _ *http.Request) {
		set(w.Header(), header)
		w.WriteHeader(status)
		fmt.Fprintf(w, "status of %s", b.name)
	})
}

// streams has a backend answer with a stream of these events.
func (b *backend) streams(events string) {
	b.does(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, events)
	})
}

// all has all backends do the same.
func (r *rig) all(h http.HandlerFunc) {
	for _, b := range r.backends {
		b.does(h)
	}
}

// answer has all backends answer.
func (r *rig) answer(status int, header ...string) {
	for _, b := range r.backends {
		b.answers(status, header...)
	}
}

// set sets headers that are listed as name, value, name and so on.
func set(h http.Header, list []string) {
	for i := 0; i < len(list); i += 2 {
		h.Set(list[i], list[i+1])
	}
}

func (r *rig) backend(name string) *backend { return r.backends[name[0]-'a'] }

// echoes lets the backends answer with what they were sent.
func (r *rig) echoes() {
	r.all(func(w http.ResponseWriter, req *http.Request) {
		// Read first: the server stops reading when the answer is long.
		body, _ := io.ReadAll(req.Body)
		w.Write(body)
	})
}

// overTLS starts a server that the gateway is to have as its only upstream, as change has it,
// and whose certificate it believes.
func (r *rig) overTLS(h http.HandlerFunc, change func(*httptest.Server)) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	change(s)
	s.StartTLS()
	r.t.Cleanup(s.Close)
	r.g.setup.Load().upstreams[0].url = &url.URL{Scheme: "https", Host: s.Listener.Addr().String()}
	for _, t := range []*http.Transport{r.g.transport, r.g.fresh.(*http.Transport)} {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = new(tls.Config)
		}
		t.TLSClientConfig.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	return s
}

func withHTTP2(s *httptest.Server) { s.EnableHTTP2 = true }

// hits is how many requests the backends got together.
func (r *rig) hits() (n int64) {
	for _, b := range r.backends {
		n += b.hits.Load()
	}
	return n
}

// failures is how many of them the gateway holds against the upstreams.
func (r *rig) failures() (n int64) {
	for _, u := range r.g.status().Upstreams {
		n += u.Failures
	}
	return n
}

// in is how many upstreams take requests.
func (r *rig) in() (n int) {
	for _, u := range r.g.status().Upstreams {
		if u.Available {
			n++
		}
	}
	return n
}

// timePasses brings the time that upstreams are left out for to its end.
func (r *rig) timePasses() {
	for _, u := range r.g.setup.Load().upstreams {
		u.health.mu.Lock()
		u.health.until, u.health.last = time.Now(), time.Now()
		clear(u.health.limits)
		u.health.mu.Unlock()
	}
}

// dies lets nobody be there any more.
func (b *backend) dies() {
	b.Listener.Close()
	b.CloseClientConnections()
}

type response struct {
	*http.Response
	text string
}

func (r *rig) do(method, path, body string, header ...string) response {
	r.t.Helper()
	resp, err := r.try(method, path, strings.NewReader(body), header...)
	require.NoError(r.t, err)
	return resp
}

func (r *rig) try(method, path string, body io.Reader, header ...string) (response, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.front.URL+path, body)
	if err != nil {
		return response{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp, string(text)}, err
}

// dial sends what is written to the gateway, as it is, and returns the connection.
func (r *rig) dial(written string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.front.Listener.Addr().String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	io.WriteString(c, written)
	return c, bufio.NewReader(c)
}

// raw is dial for a request after which the connection ends. It returns the answer as it comes.
func (r *rig) raw(request string) string {
	_, answer := r.dial(request)
	text, _ := io.ReadAll(answer)
	return string(text)
}

func (r *rig) chat(session string) response {
	r.t.Helper()
	return r.do("POST", "/v1/chat/completions", `{"model":"m"}`, "X-Session-ID", session)
}

// request is what chat sends.
func (r *rig) request(session string) *http.Request {
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", r.front.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	require.NoError(r.t, err)
	req.Header.Set("X-Session-ID", session)
	return req
}

// settle waits until the gateway is done with all that it was sent.
func (r *rig) settle() {
	r.client.CloseIdleConnections()
	r.front.Close()
	r.busy.Wait()
}
