package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
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
	log      *bytes.Buffer
}

func newRig(t testing.TB, n int, adjust ...func(*options)) *rig {
	t.Helper()
	r := &rig{t: t, log: new(bytes.Buffer)}
	o := options{ttl: time.Hour, capacity: 1000, bodyLimit: 1 << 20, cooldown: time.Hour}
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
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(lockedWriter{&mu, r.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.g, err = newGateway(o, extract.Default(), log, nil)
	require.NoError(t, err)
	t.Cleanup(r.g.close)
	r.front = httptest.NewServer(r.g)
	t.Cleanup(r.front.Close)
	return r
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (b *backend) does(h http.HandlerFunc) { b.answer.Store(&h) }

func (b *backend) answers(status int, header ...string) {
	b.does(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "status of %s", b.name)
	})
}

// echo answers with the body of the request.
func echo(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		w.Write(body)
	}
}

func (r *rig) backend(name string) *backend { return r.backends[name[0]-'a'] }

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
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp, string(text)}, err
}

func (r *rig) chat(session string) response {
	r.t.Helper()
	return r.do("POST", "/v1/chat/completions", `{"model":"m"}`, "X-Session-ID", session)
}

func TestPassesThroughAsItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var got *http.Request
	var body []byte
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		got = req.Clone(context.Background())
		body, _ = io.ReadAll(req.Body)
		w.Header().Set("X-Upstream", "yes")
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("Affinity-Target", "forged")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "42")
	})
	const path = "/v1beta/models/gemini%2Fpro:streamGenerateContent?alt=sse&a;b=c%20d"
	resp := r.do("POST", path, "  {\"contents\": []}\n", "X-Custom", "1", "X-Custom", "2",
		"X-Forwarded-For", "1.2.3.4", "Authorization", "Bearer mine", "Accept-Encoding", "identity")
	require.Equal(t, path, got.URL.RequestURI())
	require.Equal(t, "  {\"contents\": []}\n", string(body))
	require.Equal(t, []string{"1", "2"}, got.Header["X-Custom"])
	require.Equal(t, []string{"1.2.3.4"}, got.Header["X-Forwarded-For"])
	require.Equal(t, "Bearer mine", got.Header.Get("Authorization"))
	require.Equal(t, strings.TrimPrefix(r.backends[0].URL, "http://"), got.Host)
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	require.Equal(t, "hello", resp.text)
	require.Equal(t, "yes", resp.Header.Get("X-Upstream"))
	require.Equal(t, "42", resp.Trailer.Get("X-Sum"))
	require.Equal(t, []string{"a"}, resp.Header["Affinity-Target"])
	require.Equal(t, "no-session", resp.Header.Get("Affinity-Reason"))
	require.NotContains(t, resp.Header, "Affinity-Session")
}

func TestBasePathIsJoined(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url.Path = "/base/" })
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.URL.RequestURI()) })
	require.Equal(t, "/base/v1/x%2Fy?q=1", r.do("GET", "/v1/x%2Fy?q=1", "").text)
}

func TestConversationsStay(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	home, digests := map[string]string{}, map[string]bool{}
	for turn := range 5 {
		for i := range 40 {
			id := fmt.Sprint("chat-", i)
			resp := r.chat(id)
			if turn == 0 {
				home[id] = resp.Header.Get(targetHeader)
				require.Equal(t, "new", resp.Header.Get(reasonHeader))
				digests[resp.Header.Get(sessionHeader)] = true
			}
			require.Equal(t, home[id], resp.Header.Get(targetHeader))
			require.Equal(t, "answer of "+home[id], resp.text)
			require.True(t, digests[resp.Header.Get(sessionHeader)])
			require.NotContains(t, resp.Header.Get(sessionHeader), "chat")
		}
	}
	require.Len(t, digests, 40)
	for _, b := range r.backends {
		require.EqualValues(t, 50, b.hits.Load(), "an even share")
	}
}

// failures.md row 10, through the gateway.
func TestConcurrentFirstRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var wg sync.WaitGroup
	var seen sync.Map
	for range 64 {
		wg.Go(func() {
			resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Claude-Code-Session-Id", "ca40aa6d-4238-464e-98df-6ba3e9377c6e")
			if err != nil {
				t.Error(err)
				return
			}
			seen.Store(resp.Header.Get(targetHeader)+resp.Header.Get(sessionHeader), true)
		})
	}
	wg.Wait()
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n)
}

// Events reach the client one by one: the upstream sends the next one only when
// the client has told that it has the last.
func TestStreamsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	got := make(chan int)
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case n := <-got:
				if n != i {
					t.Errorf("client has %d, not %d", n, i)
				}
			case <-req.Context().Done():
				return
			}
		}
	})
	resp, err := http.Post(r.front.URL+"/v1/responses", "application/json", strings.NewReader(`{"stream":true}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	events := bufio.NewScanner(resp.Body)
	for i := 0; events.Scan(); {
		if events.Text() == "" {
			continue
		}
		require.Equal(t, fmt.Sprint("data: ", i), events.Text())
		got <- i
		i++
	}
}

func TestFailoverTriesOnceMore(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*backend){
		"429":               func(b *backend) { b.answers(429) },
		"500":               func(b *backend) { b.answers(500) },
		"529":               func(b *backend) { b.answers(529) },
		"connection broken": func(b *backend) { b.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) },
		"nobody there":      func(b *backend) { b.Listener.Close(); b.CloseClientConnections() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			for _, b := range r.backends {
				b.does(echo)
			}
			home := r.chat("s").Header.Get(targetHeader)
			fail(r.backend(home))
			body := `{"model":"m","text":"` + strings.Repeat("x", 100_000) + `"}`
			moved := r.do("POST", "/v1/chat/completions", body, "X-Session-ID", "s")
			require.Equal(t, 200, moved.StatusCode)
			require.True(t, body == moved.text, "the body was sent again, whole")
			require.NotEqual(t, home, moved.Header.Get(targetHeader))
			require.Equal(t, "failover", moved.Header.Get(reasonHeader))

			// It stays where it went, and the first one is left alone.
			hits := r.backend(home).hits.Load()
			again := r.chat("s")
			require.Equal(t, moved.Header.Get(targetHeader), again.Header.Get(targetHeader))
			require.Equal(t, "bound", again.Header.Get(reasonHeader))
			for i := range 10 {
				require.NotEqual(t, home, r.chat(fmt.Sprint("other-", i)).Header.Get(targetHeader))
			}
			require.Equal(t, hits, r.backend(home).hits.Load())
			require.Contains(t, r.log.String(), "upstream left out")
		})
	}
}

func TestOnlyOneRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	for _, b := range r.backends {
		b.answers(503, "X-From", b.name)
	}
	resp := r.chat("s")
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, resp.Header.Get(targetHeader), resp.Header.Get("X-From"), "the answer of the second one, as it is")
	n := int64(0)
	for _, b := range r.backends {
		n += b.hits.Load()
	}
	require.EqualValues(t, 2, n)
}

func TestNoRetryOfWhatTheClientDidWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, status := range []int{400, 401, 403, 404, 413, 422} {
		for _, b := range r.backends {
			b.answers(status)
		}
		before := r.backends[0].hits.Load() + r.backends[1].hits.Load()
		require.Equal(t, status, r.chat(fmt.Sprint("s", status)).StatusCode)
		require.Equal(t, before+1, r.backends[0].hits.Load()+r.backends[1].hits.Load())
	}
	require.Len(t, r.g.candidates(nil), 2)
}

// A body that is too large to keep is sent on whole, but only once.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, func(o *options) { o.bodyLimit = 1000 })
	for _, b := range r.backends {
		b.does(echo)
	}
	body := strings.Repeat("large", 100_000)
	require.True(t, body == r.do("POST", "/x", body).text)
	chunked, err := r.try("POST", "/x", io.MultiReader(strings.NewReader(body)))
	require.NoError(t, err)
	require.True(t, body == chunked.text)

	home := r.do("POST", "/x", body, "X-Session-ID", "s").Header.Get(targetHeader)
	r.backend(home).answers(500)
	require.Equal(t, 500, r.do("POST", "/x", body, "X-Session-ID", "s").StatusCode)
}

func TestCompressedBodiesAreUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, `{"conversation_id":"c-1"}`)
	z.Close()
	for _, b := range r.backends {
		b.does(echo)
	}
	first := r.do("POST", "/x", zipped.String(), "Content-Encoding", "gzip")
	require.Equal(t, zipped.String(), first.text, "what goes on is as it came")
	plain := r.do("POST", "/x", `{"conversation_id":"c-1"}`)
	require.Equal(t, "bound", plain.Header.Get(reasonHeader))
	require.Equal(t, first.Header.Get(sessionHeader), plain.Header.Get(sessionHeader))
}

func TestNothingLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, b := range r.backends {
		b.answers(429, "Retry-After", "7")
	}
	require.Equal(t, 429, r.chat("s").StatusCode, "the last answer that there was")
	resp := r.chat("s")
	require.Equal(t, 503, resp.StatusCode)
	require.Contains(t, []string{"6", "7"}, resp.Header.Get("Retry-After"))
	require.JSONEq(t, `{"error":{"type":"no_upstream_available","message":"all upstreams are out for now: try again later"}}`, resp.text)
	require.EqualValues(t, 2, r.backends[0].hits.Load()+r.backends[1].hits.Load())

	r = newRig(t, 1)
	r.backends[0].Close()
	resp = r.chat("s")
	require.Equal(t, 502, resp.StatusCode)
	require.JSONEq(t, `{"error":{"type":"upstream_failed","message":"the upstream could not be reached"}}`, resp.text)
}

func TestUpstreamComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).answers(429, "Retry-After", "0")
	require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
	require.Len(t, r.g.candidates(nil), 2, "it said that it would be back at once")
}

func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"":            10 * time.Second,
		"soon":        10 * time.Second,
		"-3":          10 * time.Second,
		"0":           0,
		"30":          30 * time.Second,
		"99999999999": maxRetryAfter,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):   0,
		now.Add(24 * time.Hour).Format(http.TimeFormat): maxRetryAfter,
	} {
		resp := &http.Response{Header: http.Header{}}
		if after != "" {
			resp.Header.Set("Retry-After", after)
		}
		require.Equal(t, want, pause(resp, now, 10*time.Second), after)
	}
}

// A client that goes away says nothing about the upstream.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	arrived, left := make(chan struct{}), make(chan struct{})
	for _, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body) // or the server does not watch the connection
			close(arrived)                // twice would panic: there is no second attempt
			<-req.Context().Done()
			close(left)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", r.front.URL, strings.NewReader(`{}`))
	require.NoError(t, err)
	go func() { <-arrived; cancel() }()
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-left
	r.front.Close() // waits for the handler
	require.Len(t, r.g.candidates(nil), 2)
	require.Zero(t, r.g.upstreams[0].failures.Load()+r.g.upstreams[1].failures.Load())
}

// An upstream that breaks off in mid-stream is left out; the client sees that
// the stream is broken, and the session goes on elsewhere.
func TestUpstreamDiesInMidStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "data: half\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", "s")
	require.Error(t, err)
	require.Equal(t, "data: half\n\n", resp.text)
	require.Len(t, r.g.candidates(nil), 1)
	require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
}

func TestTenantsShareNoSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	seen := map[string]bool{}
	for _, credential := range [][]string{
		{"Authorization", "Bearer k1"}, {"Authorization", "Bearer k2"}, {"X-Api-Key", "k3"}, {"X-Goog-Api-Key", "k4"}, {},
	} {
		for _, want := range []string{"new", "bound"} {
			resp := r.do("POST", "/v1/messages", `{}`, append([]string{"X-Session-ID", "same"}, credential...)...)
			require.Equal(t, want, resp.Header.Get(reasonHeader))
			seen[resp.Header.Get(sessionHeader)] = true
		}
	}
	for _, want := range []string{"new", "bound"} {
		resp := r.do("POST", "/v1beta/models/m:generateContent?key=k5", `{}`, "X-Session-ID", "same")
		require.Equal(t, want, resp.Header.Get(reasonHeader))
		seen[resp.Header.Get(sessionHeader)] = true
	}
	require.Len(t, seen, 6)
}

func TestUpstreamCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].key = "theirs" })
	var got *http.Request
	r.backends[0].does(func(_ http.ResponseWriter, req *http.Request) { got = req })
	for _, tt := range []struct {
		path   string
		client []string
		header string
		want   string
	}{
		{"/v1/chat/completions", []string{"Authorization", "Bearer mine"}, "Authorization", "Bearer theirs"},
		{"/v1/messages", []string{"X-Api-Key", "mine"}, "X-Api-Key", "theirs"},
		{"/v1/messages", []string{"Authorization", "Bearer mine"}, "Authorization", "Bearer theirs"},
		{"/v1beta/models/m:generateContent", []string{"X-Goog-Api-Key", "mine"}, "X-Goog-Api-Key", "theirs"},
		{"/v1beta/models/m:generateContent?key=mine&alt=sse", nil, "X-Goog-Api-Key", "theirs"},
		{"/openai/deployments/d", []string{"Api-Key", "mine"}, "Api-Key", "theirs"},
		{"/v1/messages", nil, "X-Api-Key", "theirs"},
		{"/v1beta/models/m:streamGenerateContent", nil, "X-Goog-Api-Key", "theirs"},
		{"/v1/responses", nil, "Authorization", "Bearer theirs"},
	} {
		r.do("POST", tt.path, `{}`, tt.client...)
		require.Equal(t, tt.want, got.Header.Get(tt.header), tt.path)
		require.NotContains(t, fmt.Sprint(got.Header, got.URL), "mine", tt.path)
	}
}

// A Responses conversation that names nothing but the last response stays.
func TestPreviousResponseIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var n atomic.Int64
	for i, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			id := fmt.Sprintf("resp_%s_%d", b.name, n.Add(1))
			if i%2 == 0 || bytes.Contains(body, []byte(`"stream":true`)) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprintf(w, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":%q}}\n\n", id)
				return
			}
			fmt.Fprintf(w, `{"id":%q,"object":"response"}`, id)
		})
	}
	for chat := range 12 {
		first := r.do("POST", "/v1/responses", fmt.Sprintf(`{"input":"question %d","store":true}`, chat))
		last := first
		for range 4 {
			id := last.text[strings.Index(last.text, "resp_"):]
			id = id[:strings.IndexByte(id, '"')]
			last = r.do("POST", "/v1/responses", `{"input":"go on","previous_response_id":"`+id+`"}`)
			require.Equal(t, first.Header.Get(targetHeader), last.Header.Get(targetHeader))
			require.Equal(t, first.Header.Get(sessionHeader), last.Header.Get(sessionHeader))
		}
	}
}

func TestUpgrades(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw)
	})
	c, err := net.Dial("tcp", r.front.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(c, "GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Session-ID: s\r\n\r\n")
	b := bufio.NewReader(c)
	resp, err := http.ReadResponse(b, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	require.Equal(t, "a", resp.Header.Get(targetHeader))
	io.WriteString(c, "ping\n")
	line, err := b.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ping\n", line)
}

func TestHeadAndEmptyRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, method := range []string{"HEAD", "GET", "DELETE", "OPTIONS"} {
		require.Equal(t, 200, r.do(method, "/", "").StatusCode)
	}
}

func TestUnreadableBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	c, err := net.Dial("tcp", r.front.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 400, resp.StatusCode)
	require.Zero(t, r.backends[0].hits.Load())
}

// Neither ids nor keys nor prompts are in what the gateway writes down.
func TestLogsNoSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	home := r.do("POST", "/v1/messages", `{"messages":[{"role":"user","content":"secret-prompt"}]}`,
		"X-Session-ID", "secret-id", "Authorization", "Bearer secret-key").Header.Get(targetHeader)
	r.backend(home).answers(500)
	r.do("POST", "/v1/messages?key=secret-query", `{}`, "X-Session-ID", "secret-id", "Authorization", "Bearer secret-key")
	r.front.Close()
	require.Contains(t, r.log.String(), "selected")
	require.NotContains(t, r.log.String(), "secret")
}
