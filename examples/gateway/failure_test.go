package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

func TestFailoverTriesOnceMore(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*backend){
		"429":               func(b *backend) { b.answers(429) },
		"500":               func(b *backend) { b.answers(500) },
		"529":               func(b *backend) { b.answers(529) },
		"connection broken": func(b *backend) { b.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) },
		"nobody there":      func(b *backend) { b.dies() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			r.echoes()
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
			require.EqualValues(t, 1, r.failures())
			require.Contains(t, r.log.String(), "upstream out")
		})
	}
}

// An upstream that fails under load loses no request, and its sessions are each
// together again afterwards.
func TestFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	const sessions, turns = 16, 8
	for i := range sessions {
		r.chat(fmt.Sprint("s", i))
	}
	var wg sync.WaitGroup
	for i := range sessions * turns {
		if i == sessions {
			r.backends[0].answers(500)
		}
		wg.Go(func() {
			resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", fmt.Sprint("s", i%sessions))
			if err != nil || resp.StatusCode != 200 {
				t.Error("lost:", err)
			}
		})
	}
	wg.Wait()
	for i := range sessions {
		resp := r.chat(fmt.Sprint("s", i))
		require.Equal(t, "bound", resp.Header.Get(reasonHeader))
		require.NotEqual(t, "a", resp.Header.Get(targetHeader))
	}
	require.Equal(t, 1, strings.Count(r.log.String(), `level=WARN msg="upstream out"`), "told once")
}

// A request is lost only if nobody can serve it.
func TestEveryUpstreamIsTried(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	for _, b := range r.backends {
		b.answers(503, "X-From", b.name)
	}
	resp := r.chat("s")
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, resp.Header.Get(targetHeader), resp.Header.Get("X-From"), "the answer of the last one")
	require.Equal(t, "status of "+resp.Header.Get("X-From"), resp.text, "as it is")
	require.EqualValues(t, 4, r.hits())
	for _, b := range r.backends {
		require.EqualValues(t, 1, b.hits.Load(), "once each")
	}

	r = newRig(t, 4)
	for _, b := range r.backends[:3] {
		b.answers(500)
	}
	for i := range 20 {
		resp := r.chat(fmt.Sprint("s", i))
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "d", resp.Header.Get(targetHeader))
	}
}

// The second one cannot even be reached: the answer of the first is better than none,
// as it may say when to come back.
func TestRetryIsNotAnswered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500} {
		r := newRig(t, 2)
		home := r.chat("s").Header.Get(targetHeader)
		for _, b := range r.backends {
			if b.answers(status, "Retry-After", "7"); b.name != home {
				b.dies()
			}
		}
		resp := r.chat("s")
		require.Equal(t, status, resp.StatusCode)
		require.Equal(t, "7", resp.Header.Get("Retry-After"))
		require.Equal(t, "status of "+home, resp.text, "whole")
		require.Equal(t, home, resp.Header.Get(targetHeader))
		require.Contains(t, r.log.String(), fmt.Sprint("status=", status, " took="))
		require.Contains(t, r.log.String(), "attempts=2 target="+home)
	}

	// Unless it is not whole: then it is none.
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	for _, b := range r.backends {
		if b.name != home {
			b.dies()
			continue
		}
		b.does(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "200")
			w.WriteHeader(503)
			w.Write(make([]byte, 100))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
	require.Equal(t, 502, r.chat("s").StatusCode)
}

// There is no second one: the answer of the first is better than none.
func TestNoOtherToRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].answers(529, "X-Mine", "1")
	resp := r.chat("s")
	require.Equal(t, 529, resp.StatusCode)
	require.Equal(t, "status of a", resp.text)
	require.Equal(t, "a", resp.Header.Get(targetHeader))
	require.Equal(t, "1", resp.Header.Get("X-Mine"))
}

func TestNoRetryOfWhatTheClientDidWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for i, status := range []int{400, 404, 409, 413, 422} {
		for _, b := range r.backends {
			b.answers(status)
		}
		require.Equal(t, status, r.chat(fmt.Sprint("s", status)).StatusCode)
		require.EqualValues(t, i+1, r.hits())
	}
	require.Equal(t, 2, r.in())
}

// A credential that one upstream denies is good if another takes it, and then
// that one is asked no more. If two deny it, it is no good.
func TestDeniedCredential(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 402, 403} {
		r := newRig(t, 1)
		r.backends[0].answers(status)
		require.Equal(t, status, r.chat("s").StatusCode)
		require.EqualValues(t, 1, r.hits())

		r = newRig(t, 3)
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).answers(status)
		moved := r.chat("s")
		require.Equal(t, 200, moved.StatusCode)
		hits := r.backend(home).hits.Load()
		for range 5 {
			again := r.chat("s")
			require.Equal(t, 200, again.StatusCode)
			require.Equal(t, moved.Header.Get(targetHeader), again.Header.Get(targetHeader))
		}
		require.Equal(t, hits, r.backend(home).hits.Load())

		r = newRig(t, 3)
		for _, b := range r.backends {
			b.answers(status)
		}
		for i := range 5 {
			require.Equal(t, status, r.chat(fmt.Sprint("s", i)).StatusCode)
			require.EqualValues(t, 2*(i+1), r.hits())
		}
		require.Zero(t, r.failures())
		require.Equal(t, 3, r.in())
	}
}

// A body that is too large to keep is sent again only if nothing of it is gone.
func TestRetryOfLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, func(o *options) { o.bodyLimit = 1000 })
	r.echoes()
	body := strings.Repeat("large", 100_000)
	home := r.do("POST", "/x", body, "X-Session-ID", "s").Header.Get(targetHeader)
	r.backend(home).dies()
	resp := r.do("POST", "/x", body, "X-Session-ID", "s")
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, body == resp.text)

	second := resp.Header.Get(targetHeader)
	require.NotEqual(t, home, second)

	// Who has not asked for it has not got any of it.
	r.backend(second).answers(429)
	resp = r.do("POST", "/x", body, "X-Session-ID", "s", "Expect", "100-continue")
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, body == resp.text)
	second = resp.Header.Get(targetHeader)
	hits := r.hits()
	r.backend(second).does(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.WriteHeader(500)
	})
	require.Equal(t, 500, r.do("POST", "/x", body, "X-Session-ID", "s").StatusCode)
	require.Equal(t, hits+1, r.hits())
}

// An upstream that answers before it has all of a large body gets the rest as well, and the
// client the answer before it has sent all.
func TestAnswerToHalfABody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		c := http.NewResponseController(w)
		c.EnableFullDuplex()
		for buf := make([]byte, 100); ; {
			n, err := req.Body.Read(buf)
			w.Write(buf[:n])
			c.Flush()
			if err != nil {
				return
			}
		}
	})
	from, to := io.Pipe()
	answered, late := make(chan struct{}), false
	go func() {
		defer to.Close()
		io.WriteString(to, "more than ten bytes, ")
		select {
		case <-answered:
		case <-time.After(time.Minute):
			late = true
		}
		io.WriteString(to, "and the rest")
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.front.URL, from)
	require.NoError(t, err)
	resp, err := r.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	close(answered)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "more than ten bytes, and the rest", string(text))
	require.False(t, late)
}

// A large body that cannot be sent again gets a connection of its own, but does not ask for
// its end: servers that end it at once make their answer unreadable if they have not read
// the body.
func TestConnectionsOfLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	seen := map[string]bool{}
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		seen[req.RemoteAddr] = true
		if req.Close || len(req.Header["Connection"]) > 0 {
			w.WriteHeader(400)
		}
	})
	for i := range 5 {
		require.Equal(t, 200, r.do("POST", "/x", "more than ten bytes").StatusCode)
		require.Len(t, seen, i+1)
	}
}

// A client is told if its connection ends with an answer that came before the request was
// read. Otherwise it sends the next one there, which is lost.
func TestEndOfAConnectionIsAnnounced(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	connect := func(body string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", r.front.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n%s", body)
		return c, bufio.NewReader(c)
	}
	read := func(answers *bufio.Reader) (closes bool) {
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		return resp.Close
	}
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })
	c, answers := connect(strings.Repeat("x", 50))
	require.False(t, read(answers))
	fmt.Fprint(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	require.False(t, read(answers), "the next request")

	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // answers without waiting for the rest
		w.WriteHeader(413)
	})
	_, answers = connect("the first half")
	require.True(t, read(answers))
	r.g.setup.Load().upstreams[0].health.failed(time.Now(), time.Hour, true, false)
	_, answers = connect("the first half")
	require.True(t, read(answers), "nobody was asked")
}

// A client that does not deliver the rest of a body says nothing about the
// upstream.
func TestClientBreaksOffItsBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, func(o *options) { o.bodyLimit = 10 })
	arrived := make(chan struct{}, 2)
	for _, b := range r.backends {
		b.does(func(_ http.ResponseWriter, req *http.Request) {
			arrived <- struct{}{}
			io.Copy(io.Discard, req.Body)
		})
	}
	c, err := net.Dial("tcp", r.front.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n")
	<-arrived
	io.WriteString(c, "nonsense\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 400, resp.StatusCode)
	require.Zero(t, r.failures())
	require.EqualValues(t, 1, r.hits())
}

// A kept-alive connection that the upstream closes as the request goes out is
// no failure of the upstream: the session stays.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) { // answers the first request of every connection and hangs up at the second
		b := bufio.NewReader(c)
		for i := range 2 {
			req, err := http.ReadRequest(b)
			if err != nil || i == 1 {
				return // with its body not read, if that is long
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		}
	})
	for _, limit := range []int64{2 << 20, 1000} { // what is longer cannot be sent again
		r := newRig(t, 2, func(o *options) {
			o.bodyLimit = limit
			for _, u := range o.upstreams {
				u.url = address
			}
		})
		home := r.chat("s").Header.Get(targetHeader)
		for _, size := range []int{10, 100, 1_000_000} {
			body := `{"model":"` + strings.Repeat("m", size) + `"}`
			for range 5 {
				resp := r.do("POST", "/v1/chat/completions", body, "X-Session-ID", "s")
				require.Equal(t, 200, resp.StatusCode)
				require.Equal(t, "bound", resp.Header.Get(reasonHeader))
				require.Equal(t, home, resp.Header.Get(targetHeader))
			}
		}
		require.Zero(t, r.failures())
	}
}

// A request that makes the upstream hang up is not sent to it once for every
// kept-alive connection that there is.
func TestHangsUpOnEveryConnection(t *testing.T) {
	t.Parallel()
	const connections = 20
	var arrived sync.WaitGroup
	arrived.Add(connections)
	var sent atomic.Int64
	address := listen(t, func(c net.Conn) {
		for b := bufio.NewReader(c); ; {
			req, err := http.ReadRequest(b)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if req.URL.Path == "/bad" {
				sent.Add(1)
				return
			}
			arrived.Done()
			arrived.Wait() // so that there is a connection for each
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		}
	})
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url = address })
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() { r.try("POST", "/good", strings.NewReader(`{}`)) })
	}
	wg.Wait()
	require.Equal(t, 502, r.do("POST", "/bad", `{}`).StatusCode)
	require.LessOrEqual(t, sent.Load(), int64(2))
	require.EqualValues(t, 1, r.failures())
}

// listen lets serve have every connection to the address that it returns.
func listen(t *testing.T, serve func(net.Conn)) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
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
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.JSONEq(t, `{"error":{"type":"no_upstream_available","message":"all upstreams are out for now: try again later"}}`, resp.text)
	require.EqualValues(t, 2, r.hits())

	r = newRig(t, 1)
	r.backends[0].dies()
	resp = r.chat("s")
	require.Equal(t, 502, resp.StatusCode)
	require.JSONEq(t, `{"error":{"type":"upstream_failed","message":"the upstream could not be reached, or closed the connection without an answer"}}`, resp.text)
}

// The client is told to come back when the first upstream does, whichever answered last.
func TestSoonestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			status int
			a, b   []string      // headers of their refusals
			want   time.Duration // up to half a second more
		}{
			{429, []string{"Retry-After", "40"}, []string{"Retry-After", "200"}, 40 * time.Second},
			{529, []string{"Retry-After", "200"}, []string{"Retry-After", "40"}, 40 * time.Second},
			{503, []string{"Retry-After-Ms", "30500"}, []string{"Retry-After-Ms", "200000", "Retry-After", "200"}, 30500 * time.Millisecond},
		} {
			w := newWorld(t, 2)
			w.let("a", refuses(tt.status, tt.a...))
			w.let("b", refuses(tt.status, tt.b...))
			rec := httptest.NewRecorder()
			w.g.ServeHTTP(rec, httptest.NewRequest("POST", "/v1/messages", strings.NewReader("{}")))
			require.Equal(t, tt.status, rec.Code)
			got := pause(rec.Result(), time.Now())
			require.True(t, got >= tt.want && got <= tt.want+time.Second/2, "%v: %v", tt, got)
			w.g.close()
		}
	})
}

// What cannot be sent again is for the client to send, at once if another upstream is there.
func TestRetryAfterOfLargeBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *options) { o.bodyLimit = 1 })
		defer w.g.close()
		w.let("a", refuses(429, "Retry-After", "200"))
		w.let("b", refuses(429, "Retry-After", "200"))
		rec := httptest.NewRecorder()
		w.g.ServeHTTP(rec, httptest.NewRequest("POST", "/v1/messages", strings.NewReader("{}")))
		require.Equal(t, 429, rec.Code)
		require.Len(t, w.hits, 1)
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
	})
}

func TestHasten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &upstream{name: "a"}, &upstream{name: "b"}
		b.health.failed(time.Now(), 200*time.Second, true, false)
		x := &exchange{setup: &setup{upstreams: []*upstream{a, b}}, req: &extract.Request{}}
		hastened := func(status int, after string) string {
			resp := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}, "Retry-After-Ms": {after + "000"}}}
			x.hasten(resp)
			require.Equal(t, resp.Header.Get("Retry-After") == after, len(resp.Header["Retry-After-Ms"]) > 0)
			return resp.Header.Get("Retry-After")
		}
		x.hasten(nil)
		require.Equal(t, "1", hastened(429, "200"), "a takes it at once")
		require.Equal(t, "200", hastened(202, "200"), "that is for something else")
		x.tried = []*upstream{a, b}
		require.Equal(t, "200", hastened(429, "200"), "a was of no use")
		x.tried = nil
		a.health.failed(time.Now(), 10*time.Second, false, false)
		require.Equal(t, "200", hastened(503, "200"), "a may be gone for good")
		a.health.failed(time.Now(), 40*time.Second, true, false)
		<-time.After(500 * time.Millisecond)
		require.Equal(t, "40", hastened(503, "200"))
		require.Equal(t, "40", hastened(503, "40"), "as the upstream says, with its fractions")
		<-time.After(time.Minute)
		require.Equal(t, "1", hastened(503, "200"))
		_, slot, _ := a.health.admit(time.Now(), 0)
		require.True(t, slot, "the only one is still free")
	})
}

// What has no status that can be passed on is no answer.
func TestStatusThatIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.g.close()
		for _, status := range []int{99, 1000} { // over HTTP/1.1, and over HTTP/2
			home, _ := w.do(fmt.Sprint(status))
			w.let(home, refuses(status))
			_, got := w.do(fmt.Sprint(status))
			require.Equal(t, 200, got, status)
			w.let("a", refuses(status))
			w.let("b", refuses(status))
			_, got = w.do(fmt.Sprint(status))
			require.Equal(t, 502, got, status)
			w.let("a", nil)
			w.let("b", nil)
			<-time.After(time.Minute)
		}
	})
}

// socket is the body of an answer that may switch protocols.
type socket struct {
	io.Reader
	io.Writer
	closed bool
}

func (s *socket) Close() error { s.closed = true; return nil }

// An answer that is not passed on holds no connection.
func TestAnswersThatAreNotPassedOnAreClosed(t *testing.T) {
	t.Parallel()
	for status, header := range map[int]http.Header{
		99:  {},
		101: {"Connection": {"Upgrade"}, "Upgrade": {"other"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, func(o *options) { o.patience = 0 })
			defer w.g.close()
			body := &socket{strings.NewReader(""), io.Discard, false}
			w.let("a", func() (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: header.Clone(), Body: body}, nil
			})
			_, got := w.do("s", "Connection", "Upgrade", "Upgrade", "echo")
			require.Equal(t, 502, got)
			require.True(t, body.closed, status)
		})
	}
}

func TestUpstreamComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].answers(529, "Retry-After", "60")
	require.Equal(t, 529, r.chat("s").StatusCode)
	require.Equal(t, 503, r.chat("s").StatusCode)
	r.backends[0].answers(200)
	r.timePasses()
	require.Equal(t, 200, r.chat("s").StatusCode)
	require.Equal(t, 200, r.chat("s").StatusCode)
	require.Equal(t, 1, strings.Count(r.log.String(), "upstream back"))
}

// When all are out, one that did not say for how long may be back already.
func TestLastResort(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.backend("a").answers(429, "Retry-After", "60")
	r.backend("b").answers(500)
	r.backend("c").answers(500)
	for i := range 10 {
		r.chat(fmt.Sprint("s", i))
	}
	require.Equal(t, 1, r.in(), "for other models")
	r.backend("b").answers(200)
	r.backend("c").answers(200)
	asked := r.backend("a").hits.Load()
	for i := range 10 {
		require.Equal(t, 200, r.chat(fmt.Sprint("t", i)).StatusCode)
	}
	require.Equal(t, asked, r.backend("a").hits.Load(), "it asked to be left alone")
}

// A stream that tells of an error is no answer, though its status is 200. What
// the client has had of it cannot be taken back; else another one answers.
func TestErrorInAStream(t *testing.T) {
	t.Parallel()
	const overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"
	for _, begun := range []bool{true, false} {
		r := newRig(t, 2)
		got := make(chan struct{})
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			if begun {
				io.WriteString(w, "event: message_start\ndata: {}\n\n")
				w.(http.Flusher).Flush()
				<-got
			}
			io.WriteString(w, overloaded)
		})
		if begun {
			resp, err := r.client.Do(r.request("s"))
			require.NoError(t, err)
			close(got) // now that the client has the beginning
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.Equal(t, home, resp.Header.Get(targetHeader))
			require.Contains(t, string(text), "overloaded_error", "as it came")
		} else {
			resp := r.chat("s")
			require.Equal(t, 200, resp.StatusCode)
			require.NotEqual(t, home, resp.Header.Get(targetHeader))
			require.NotContains(t, resp.text, "error")
		}
		require.EqualValues(t, 1, r.failures())
		require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
	}
}

// A limit that a stream tells of is that of the client whose credential it is.
func TestLimitInAStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			if req.Header.Get("X-Api-Key") == "greedy" {
				io.WriteString(w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}\n\n")
			}
			io.WriteString(w, "data: {}\n\n")
		})
	}
	require.Contains(t, r.do("POST", "/v1/messages", "{}", "X-Api-Key", "greedy").text, "rate_limit_error")
	require.EqualValues(t, 2, r.hits())
	r.do("POST", "/v1/messages", "{}", "X-Api-Key", "greedy")
	require.EqualValues(t, 2, r.hits(), "it is not asked again")
	require.Equal(t, 2, r.in())
	require.NotContains(t, r.do("POST", "/v1/messages", "{}", "X-Api-Key", "modest").text, "rate_limit_error")
	require.EqualValues(t, 3, r.hits())
}

// A stream that tells of an error which is the request's own fault says nothing about the
// upstream: not that it fails, nor that it has the prompt.
func TestFaultyRequestInAStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\"}}\n\n")
	})
	require.Contains(t, r.chat("s").text, "invalid_request_error")
	r.settle()
	stats := r.g.setup.Load().sel.Stats()
	require.EqualValues(t, 1, stats.Outcomes[affinity.Neutral], "%v", stats.Outcomes)
	require.Equal(t, 1, r.in())
}

// A response that breaks off before the client has any of it is given by
// another upstream, and so is a stream that ends without an event.
func TestResponseThatNeverBegins(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/event-stream", "application/json", "text/event-stream; ends", "text/event-stream; of length 0"} {
		r := newRig(t, 2)
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", kind)
			if strings.HasSuffix(kind, "of length 0") {
				return
			}
			w.(http.Flusher).Flush()
			if !strings.HasSuffix(kind, "ends") {
				panic(http.ErrAbortHandler)
			}
		})
		resp := r.chat("s")
		require.Equal(t, 200, resp.StatusCode)
		require.NotEqual(t, home, resp.Header.Get(targetHeader))
		require.EqualValues(t, 1, r.failures())
	}

	// What is only looked at is no different.
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
		w.(http.Flusher).Flush()
		<-time.After(200 * time.Millisecond) // time enough for the client to get that
		panic(http.ErrAbortHandler)
	})
	resp := r.do("GET", "/v1/models", "", "X-Session-ID", "s")
	require.Equal(t, 200, resp.StatusCode)
	require.NotEqual(t, home, resp.Header.Get(targetHeader))
	require.EqualValues(t, 1, r.failures())
}

// Hundreds of conversations at once, while upstreams fail, flap, refuse with
// Retry-After and die in mid-stream: no request is lost that somebody could
// serve, nobody wanders, and afterwards the work is even again.
func TestTroubleUnderLoad(t *testing.T) {
	t.Parallel()
	for name, failover := range map[string]affinity.FailoverPolicy{"rebind": affinity.FailoverRebind, "return": affinity.FailoverReturn} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4, func(o *options) { o.failover = failover })
			const sessions = 40
			var mu sync.Mutex
			seen := make([]map[string]bool, sessions)
			for i := range seen {
				seen[i] = map[string]bool{}
			}
			round := func(prefix string, from, to int, breaks bool) map[string]int {
				shares := map[string]int{}
				var wg sync.WaitGroup
				for i := from; i < to; i++ {
					wg.Go(func() {
						resp, err := r.try("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m"}`), "X-Session-ID", fmt.Sprint(prefix, i))
						if err != nil && breaks {
							return // it had begun
						}
						if err != nil || resp.StatusCode != 200 {
							t.Errorf("lost: %v %v", resp.Response, err)
							return
						}
						mu.Lock()
						defer mu.Unlock()
						shares[resp.Header.Get(targetHeader)]++
						if prefix == "s" {
							seen[i][resp.Header.Get(targetHeader)] = true
						}
					})
				}
				wg.Wait()
				return shares
			}
			bring := func() {
				for _, b := range r.backends {
					b.answers(200)
				}
				r.timePasses()
			}
			round("s", 0, sessions, false)
			for range 3 { // a flaps
				r.backend("a").answers(503)
				round("s", 0, sessions, false)
				bring()
				round("s", 0, sessions, false)
			}
			r.backend("a").answers(429, "Retry-After", "30")
			round("s", 0, sessions, false)
			bring()
			r.backend("a").does(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "data: half\n\n")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			round("s", 0, sessions, true)
			bring()
			round("s", 0, sessions, false)
			for i, targets := range seen {
				require.LessOrEqual(t, len(targets), 2, "session %d was at %v", i, targets)
			}
			// New conversations spread over all that there are again.
			last := round("new-", 0, 2*sessions, false)
			for _, b := range r.backends {
				require.NotZero(t, last[b.name], "%v", last)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"":                        0,
		"soon":                    0,
		"-3":                      0,
		"0":                       0,
		"30":                      30 * time.Second,
		"99999999999":             maxPause,
		"9223372036854775807":     maxPause,
		"99999999999999999999999": maxPause,
		"1e999":                   maxPause,
		"1.5":                     1500 * time.Millisecond,
		"NaN":                     0,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):   0,
		now.Add(24 * time.Hour).Format(http.TimeFormat): maxPause,
	} {
		resp := &http.Response{Header: http.Header{}}
		if after != "" {
			resp.Header.Set("Retry-After", after)
		}
		require.Equal(t, want, pause(resp, now), after)
	}
	resp := &http.Response{Header: http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"250"}}}
	require.Equal(t, 250*time.Millisecond, pause(resp, now))
	for _, ms := range []string{"0", "NaN", "-1", "x"} {
		resp.Header.Set("Retry-After-Ms", ms)
		require.Equal(t, time.Second, pause(resp, now), ms)
	}
}

// However often a request waits for an upstream, it waits a little each time.
func TestManyRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(o *options) { o.patience = 5 * time.Minute })
		defer w.g.close()
		w.let("a", refuses(429, "Retry-After", "1"))
		w.let("b", func() (*http.Response, error) { return nil, io.EOF })
		start := time.Now()
		_, status := w.do("s")
		require.GreaterOrEqual(t, status, 400)
		require.LessOrEqual(t, time.Since(start), 5*time.Minute)
		require.Greater(t, w.hits["b"], 40)
	})
}

// A request that refers to state waits for the upstream that has it, if that has
// said when it is back and it is not for too long: the others could not serve it.
func TestStateIsWaitedFor(t *testing.T) {
	t.Parallel()
	const pinned = `{"model":"m","previous_response_id":"resp_0123456789abcdef","input":"x"}`
	for name, tt := range map[string]struct {
		body, retryAfter string
		atHome           bool
	}{
		"state":                {pinned, "1", true},
		"state, and no time":   {pinned, "", false},
		"state, after a while": {pinned, "60", false},
		"no state":             {`{"model":"m","input":"x"}`, "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				defer w.g.close()
				ask := func(body string) (target string) {
					r := httptest.NewRequest("POST", "/v1/responses", strings.NewReader(body))
					r.Header.Set("X-Session-ID", "s")
					r = r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, new(http.Server)))
					answer := httptest.NewRecorder()
					w.g.ServeHTTP(answer, r)
					require.Equal(t, http.StatusOK, answer.Code)
					return answer.Header().Get(targetHeader)
				}
				home := ask(tt.body)
				start := time.Now()
				w.let(home, func() (*http.Response, error) {
					if time.Since(start) >= 500*time.Millisecond {
						return serves(0)()
					}
					if tt.retryAfter == "" {
						return refuses(429)()
					}
					return refuses(429, "Retry-After", tt.retryAfter)()
				})
				require.Equal(t, tt.atHome, ask(tt.body) == home)
				if tt.atHome {
					require.GreaterOrEqual(t, time.Since(start), time.Second)
				} else {
					require.Less(t, time.Since(start), time.Second)
				}
			})
		})
	}
}

func zip(s string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// Where the state that a request refers to is at an upstream that fails, what the others
// say of it is not the last word: the client is told to come back, and finds it.
func TestStateIsNotGivenUp(t *testing.T) {
	t.Parallel()
	const pinned = `{"model":"m","previous_response_id":"resp_0123456789abcdef","input":"x"}`
	broken := func() (*http.Response, error) { return nil, io.EOF }
	for name, tt := range map[string]struct {
		body  string
		home  func() (*http.Response, error)
		other int
		says  string
		want  [2]int // of the request that meets the failure, and of one after it
	}{
		"it fails":                  {pinned, refuses(500), 404, "{}", [2]int{500, 503}},
		"it says for how long":      {pinned, refuses(503, "Retry-After", "40"), 404, "{}", [2]int{503, 503}},
		"it is gone":                {pinned, broken, 400, `{"error":{"message":"Previous response with id 'resp_0123456789abcdef' not found."}}`, [2]int{503, 503}},
		"it cannot be read":         {pinned, broken, 400, zip(`{"error":{"code":"context_length_exceeded"}}`), [2]int{503, 503}},
		"only its id":               {pinned, broken, 400, "bad: resp_0123456789abcdef", [2]int{503, 503}},
		"they say nothing":          {pinned, broken, 400, "", [2]int{503, 503}},
		"they say too much":         {pinned, broken, 400, strings.Repeat(" no", maxKept), [2]int{503, 503}},
		"others have it, too":       {pinned, broken, 200, "", [2]int{200, 200}},
		"others say something else": {pinned, broken, 413, "{}", [2]int{413, 413}},
		"it is the client's fault":  {pinned, broken, 400, `{"error":{"message":"Unsupported parameter: 'temperature'.","type":"invalid_request_error"}}`, [2]int{400, 400}},
		"no state":                  {`{"model":"m","input":"x"}`, broken, 404, "{}", [2]int{404, 404}},
		"its own word":              {pinned, refuses(404), 404, "{}", [2]int{404, 404}},
	} {
		for _, failover := range []affinity.FailoverPolicy{affinity.FailoverReturn, affinity.FailoverRebind} {
			t.Run(fmt.Sprint(name, " ", failover), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 3, func(o *options) { o.failover = failover })
					defer w.g.close()
					ask := func(session, body string) *httptest.ResponseRecorder {
						r := httptest.NewRequest("POST", "/v1/responses", strings.NewReader(body))
						r.Header.Set("X-Session-ID", session)
						r = r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, new(http.Server)))
						answer := httptest.NewRecorder()
						w.g.ServeHTTP(answer, r)
						return answer
					}
					created := func() (*http.Response, error) {
						h := http.Header{"Content-Type": {"application/json"}}
						body := io.NopCloser(strings.NewReader(`{"object":"response","id":"resp_0123456789abcdef"}`))
						return &http.Response{StatusCode: 200, Header: h, Body: body, ContentLength: -1}, nil
					}
					for _, u := range w.g.upstreams {
						w.let(u.name, created)
					}
					home := ask("s", `{"model":"m","input":"x"}`).Header().Get(targetHeader)
					for _, u := range w.g.upstreams {
						switch {
						case u.name == home:
							w.let(u.name, tt.home)
						case tt.other == 200:
							w.let(u.name, serves(0))
						default:
							w.let(u.name, func() (*http.Response, error) {
								resp, err := refuses(tt.other)()
								resp.Body = io.NopCloser(strings.NewReader(tt.says))
								if strings.HasPrefix(tt.says, "\x1f\x8b") {
									resp.Header.Set("Content-Encoding", "gzip")
								}
								return resp, err
							})
						}
					}
					answer := ask("s", tt.body)
					require.Equal(t, tt.want[0], answer.Code)
					if tt.want[0] == tt.other && tt.other != 200 && name != "its own word" {
						require.Equal(t, tt.says, answer.Body.String(), "all of it")
					}
					after := map[bool]string{true: "40", false: "1"}[name == "it says for how long"]
					if answer.Code == 503 {
						require.Equal(t, after, answer.Header().Get("Retry-After"))
					}
					if failover == affinity.FailoverReturn { // else where it went may be home now
						answer := ask("s", tt.body)
						require.Equal(t, tt.want[1], answer.Code)
						if answer.Code == 503 {
							require.Equal(t, after, answer.Header().Get("Retry-After"))
						}
					}
					if tt.other == 200 && failover == affinity.FailoverReturn {
						for _, u := range w.g.upstreams {
							if u.name != home {
								w.let(u.name, refuses(404))
							}
						}
						require.Equal(t, 503, ask("s", tt.body).Code, "nor where it has made a detour")
					}
					if tt.want[0] < 500 {
						return
					}
					w.let(home, created)
					<-time.After(time.Minute)
					require.Equal(t, 200, ask("s", tt.body).Code, "it goes on")
				})
			})
		}
	}
}

// What is left of a response that failed is read for nobody, and not for the
// attempt after it. Run with -race.
func TestLearnFromFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	for _, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_0\",\"error\":{\"code\":\"server_error\"}}}\n\n")
			w.(http.Flusher).Flush()
			for i := range 50 {
				fmt.Fprintf(w, "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_%s_%d\",\"object\":\"response\"}}\n\n", b.name, i)
				w.(http.Flusher).Flush()
			}
		})
	}
	for i := range 3 {
		r.do("POST", "/v1/responses", `{"model":"m","stream":true}`, "X-Session-ID", fmt.Sprint(i))
	}
}

// A client that goes away says nothing about the upstream, before its answer
// and in the middle of it.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]bool{"before the answer": false, "in mid-stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, func(o *options) { o.hold = 1 }) // the client sees the status before the answer
			arrived, left := make(chan struct{}, 2), make(chan struct{}, 2)
			for _, b := range r.backends {
				b.does(func(w http.ResponseWriter, req *http.Request) {
					io.Copy(io.Discard, req.Body) // or the server does not watch the connection
					if begin {
						w.(http.Flusher).Flush()
					}
					arrived <- struct{}{}
					<-req.Context().Done()
					left <- struct{}{}
				})
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "POST", r.front.URL, strings.NewReader(`{}`))
			require.NoError(t, err)
			if !begin {
				go func() { <-arrived; cancel() }()
			}
			resp, err := r.client.Do(req)
			if begin {
				require.NoError(t, err)
				cancel()
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			require.ErrorIs(t, err, context.Canceled)
			<-left
			r.settle()
			require.EqualValues(t, 1, r.hits())
			require.Zero(t, r.failures())
			require.Equal(t, 2, r.in())
		})
	}
}

// Nor does it keep the place of the one request that may try whether an upstream is back.
func TestClientLeavesWhatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.g.close()
		u := w.g.upstreams[0]
		u.health.failed(time.Now(), time.Second, true, false)
		<-time.After(time.Second)
		w.let("a", func() (*http.Response, error) { return nil, errHangs })
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/messages", strings.NewReader("{}"))
		require.Panics(t, func() { w.g.ServeHTTP(httptest.NewRecorder(), r) }, "http.ErrAbortHandler")
		require.Equal(t, 1, w.hits["a"])
		require.Zero(t, u.health.used)
	})
}

// An upstream that breaks off in mid-stream is left out; the client sees that
// the stream is broken, and the session goes on elsewhere.
func TestUpstreamDiesInMidStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "data: half\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", "s")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "data: half\n\n", resp.text)
	require.Equal(t, 1, r.in())
	require.EqualValues(t, 1, r.failures())
	require.EqualValues(t, 2, r.hits(), "not sent again: the client has had some of it")
	require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
}

// All requests to an upstream share a connection of HTTP/2. When that is dead, without a
// word, another one is made.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Proto) }))
	u.EnableHTTP2 = true
	u.StartTLS()
	defer u.Close()
	var dead atomic.Bool // what there was before: what is sent there arrives nowhere
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", u.Listener.Addr().String())
			if err != nil {
				return
			}
			var to io.Writer = d
			if n == 0 {
				to = writerFunc(func(p []byte) (int, error) {
					if dead.Load() {
						return len(p), nil
					}
					return d.Write(p)
				})
			}
			go func() { defer d.Close(); io.Copy(to, c) }()
			go func() { defer c.Close(); io.Copy(c, d) }()
		}
	}()
	r.g.setup.Load().upstreams[0].url = &url.URL{Scheme: "https", Host: l.Addr().String()}
	r.trusts(u)
	require.NotNil(t, r.g.transport.HTTP2)
	require.NotZero(t, r.g.transport.HTTP2.SendPingTimeout)
	r.g.transport.HTTP2.SendPingTimeout, r.g.transport.HTTP2.PingTimeout = 100*time.Millisecond, 100*time.Millisecond
	works := func() { // by and by: a busy machine may take longer than that for what is alive, too
		for n := 0; r.chat("s").text != "HTTP/2.0"; n++ {
			require.Less(t, n, 100)
		}
	}
	works()
	dead.Store(true)
	works()
}

// An upstream that turns a request away over HTTP/2 is not asked again and again for a minute,
// as package http would, but over HTTP/1.1, whether there is a body to it or not.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for name, goesAway := range map[string]bool{"the request": false, "the connection": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			var refused atomic.Int64
			u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Proto) }))
			u.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
				defer c.Close()
				io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
				c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS, none
				for head := make([]byte, 9); ; {           // of a frame: its length, type, flags and stream
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
					const settings, headers = 4, 1
					switch {
					case head[3] == settings && head[4] == 0:
						c.Write([]byte{0, 0, 0, 4, 1, 0, 0, 0, 0}) // got them
					case head[3] == headers && goesAway:
						refused.Add(1)
						c.Write([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // GOAWAY: no stream was looked at
					case head[3] == headers:
						refused.Add(1)
						c.Write(append([]byte{0, 0, 4, 3, 0}, head[5], head[6], head[7], head[8], 0, 0, 0, 7)) // RST_STREAM: REFUSED_STREAM
					}
				}
			}}
			u.TLS = &tls.Config{NextProtos: []string{"h2"}}
			u.StartTLS()
			defer u.Close()
			var err error
			r.g.setup.Load().upstreams[0].url, err = url.Parse(u.URL)
			require.NoError(t, err)
			r.trusts(u)
			require.Equal(t, "HTTP/1.1", r.chat("s").text)
			require.Equal(t, "HTTP/1.1", r.do("GET", "/v1/models", "").text)
			require.EqualValues(t, 2, refused.Load(), "once each")
			require.Zero(t, r.failures())
		})
	}
}

// Uploads that are too large to keep do not get into each other's connections.
func TestUploadsAtTheSameTime(t *testing.T) {
	t.Parallel()
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		io.WriteString(w, "ok")
	}))
	u.EnableHTTP2 = true
	u.StartTLS()
	defer u.Close()
	address, err := url.Parse(u.URL)
	require.NoError(t, err)
	r := newRig(t, 1, func(o *options) {
		o.bodyLimit = 1000
		o.upstreams[0].url = address
	})
	r.trusts(u)
	var failed atomic.Int64
	for range 10 {
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				resp, err := r.client.Post(r.front.URL+"/v1/files", "application/json", io.MultiReader(strings.NewReader(strings.Repeat("x", 3000))))
				if err == nil {
					resp.Body.Close()
				}
				if err != nil || resp.StatusCode != 200 {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
	}
	require.Zero(t, failed.Load())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A request that the upstreams' own keys do not open is tried once with each. That they are
// denied is not the client's to hear, who would take its own for a bad one. Nor is what the
// upstream says then, which may quote the key.
func TestOwnKeysAreDenied(t *testing.T) {
	for _, status := range []int{401, 402, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			own := func(o *options) {
				for _, u := range o.upstreams {
					u.key = "secret"
				}
			}
			denies := func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Www-Authenticate", "Bearer")
				w.WriteHeader(status)
				io.WriteString(w, req.Header.Get("Authorization"))
			}
			r := newRig(t, 3, own, func(o *options) { o.patience = time.Minute })
			for _, b := range r.backends {
				b.does(denies)
			}
			resp := r.chat("s")
			require.Equal(t, 502, resp.StatusCode)
			require.Contains(t, resp.text, "upstream_denied")
			require.NotContains(t, resp.text, "secret")
			require.GreaterOrEqual(t, r.in(), 2, "it may be what is asked for")
			require.Empty(t, resp.Header["Www-Authenticate"])
			require.EqualValues(t, 3, r.hits())
			require.Contains(t, r.log.String(), fmt.Sprintf("level=WARN msg=\"%s\"", map[bool]string{true: "request failed", false: "upstream out"}[status == 403]))

			// What another one says is told rather than that, whoever is asked first.
			for _, busy := range []string{"a", "b"} {
				r = newRig(t, 2, own)
				for _, b := range r.backends {
					b.does(denies)
				}
				r.backend(busy).answers(429, "Retry-After", "60")
				resp = r.chat("s")
				require.Equal(t, 429, resp.StatusCode)
				require.Equal(t, busy, resp.Header.Get(targetHeader))
				require.Equal(t, "status of "+busy, resp.text)
			}

			// So it is where the body cannot be sent again.
			r = newRig(t, 2, own, func(o *options) { o.bodyLimit = 10 })
			for _, b := range r.backends {
				b.does(denies)
			}
			require.Equal(t, 502, r.do("POST", "/x", strings.Repeat("large", 10_000)).StatusCode)
		})
	}
}

// An error of nothing but nulls is none.
func TestNullErrors(t *testing.T) {
	for _, e := range []string{`null`, `{}`, `{"code":null,"message":null,"param":null}`} {
		t.Run(e, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			for _, b := range r.backends {
				b.does(func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					io.WriteString(w, `{"object":"fine_tuning.job","id":"ftjob-1","status":"validating_files","error":`+e+`}`)
				})
			}
			resp := r.do("POST", "/v1/fine_tuning/jobs", `{"model":"m","training_file":"file-1"}`)
			require.Equal(t, 200, resp.StatusCode)
			require.EqualValues(t, 1, r.hits())
			require.Zero(t, r.failures())
		})
	}
}
