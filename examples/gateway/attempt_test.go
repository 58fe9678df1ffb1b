package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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

// What comes before an answer is told once, also where it comes by a second connection.
func TestHintByASecondConnection(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) { // answers the first request of every connection and hangs up at the second
		b := bufio.NewReader(c)
		if req, err := http.ReadRequest(b); err == nil {
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			http.ReadRequest(b)
		}
	})
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url = address })
	for range 2 {
		answer := r.raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		require.Equal(t, 1, strings.Count(answer, " 103 "), answer)
		require.Contains(t, answer, " 200 OK")
	}
}

// A request that makes the upstream hang up is not sent to it once for every
// kept-alive connection that there is.
func TestHangsUpOnEveryConnection(t *testing.T) {
	t.Parallel()
	for _, header := range [][]string{nil, {"Idempotency-Key", "k"}} {
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
		require.Equal(t, 502, r.do("POST", "/bad", `{}`, header...).StatusCode)
		require.LessOrEqual(t, sent.Load(), int64(2))
		require.EqualValues(t, 1, r.failures())
	}
}

// Who breaks off before there is a connection for the request cannot do so because of it.
func TestHandshakeBreaksOff(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) {})
	address.Scheme = "https"
	r := newRig(t, 3, func(o *options) {
		for _, u := range o.upstreams {
			u.url = address
		}
	})
	require.Equal(t, 502, r.chat("s").StatusCode)
	require.EqualValues(t, 3, r.failures())
	require.Zero(t, r.in(), "all are out")
}

// Nor can who was there for an earlier request, and takes no other connection.
func TestGoneSinceTheLastRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.g.send = rtFunc(func(req *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(req.Context())
		trace.GetConn("")
		trace.GotConn(httptrace.GotConnInfo{Reused: true}) // it turns out to be closed
		trace.GetConn("")
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	})
	require.Equal(t, 502, r.chat("s").StatusCode)
	require.EqualValues(t, 3, r.failures())
	require.Zero(t, r.in(), "all are out")
}

// Nor can who is not there, whoever hung up before.
func TestNobodyThereAfterAHangUp(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.g.setup.Load().sel.Drain("b", time.Time{}) // so that a is asked first
		w.let("a", fails(io.EOF))
		w.let("b", fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}))
		w.do("s")
		for _, u := range w.g.status().Upstreams {
			require.Equal(t, "out", u.State, u.Name)
		}
	}, func(o *options) { o.patience = 0 })
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

// A client that goes away says nothing about the upstream, before its answer
// and in the middle of it.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]bool{"before the answer": false, "in mid-stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, func(o *options) { o.hold = 1 }) // the client sees the status before the answer
			arrived, left := make(chan struct{}, 2), make(chan struct{}, 2)
			r.all(func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body) // or the server does not watch the connection
				if begin {
					w.(http.Flusher).Flush()
				}
				arrived <- struct{}{}
				<-req.Context().Done()
				left <- struct{}{}
			})
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
	inWorld(t, 1, func(t *testing.T, w *world) {
		u := w.g.upstreams[0]
		u.health.failed(time.Now(), time.Second, true)
		<-time.After(time.Second)
		w.let("a", fails(errHangs))
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/messages", strings.NewReader("{}"))
		require.Panics(t, func() { w.g.ServeHTTP(httptest.NewRecorder(), r) }, "http.ErrAbortHandler")
		require.Equal(t, 1, w.hits["a"])
		require.Zero(t, u.health.used)
	})
}

// All requests to an upstream share a connection of HTTP/2. When that is dead, without a
// word, another one is made.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	u := r.overTLS(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Proto) }, withHTTP2)
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
	r.g.setup.Load().upstreams[0].url.Host = l.Addr().String()
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

// overFrames has the upstream speak just so much HTTP/2 that it agrees on settings. For the header
// of each request it calls answer, with its stream and its length, and ends the connection if that
// returns false. Over HTTP/1.1, it answers with the protocol.
func (r *rig) overFrames(answer func(c net.Conn, stream [4]byte, length int64) bool) {
	speak := func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		defer c.Close()
		io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
		c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS, none
		for head := make([]byte, 9); ; {           // of a frame: its length, type, flags and stream
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			io.CopyN(io.Discard, c, length)
			const settings, headers = 4, 1
			switch {
			case head[3] == settings && head[4] == 0:
				c.Write([]byte{0, 0, 0, 4, 1, 0, 0, 0, 0}) // got them
			case head[3] == headers && !answer(c, [4]byte(head[5:]), length):
				return
			}
		}
	}
	r.overTLS(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Proto) }, func(s *httptest.Server) {
		s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": speak}
		s.TLS = &tls.Config{NextProtos: []string{"h2"}}
	})
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
			r.overFrames(func(c net.Conn, stream [4]byte, _ int64) bool {
				refused.Add(1)
				if goesAway {
					c.Write([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // GOAWAY: no stream was looked at
				} else {
					c.Write(append([]byte{0, 0, 4, 3, 0}, stream[0], stream[1], stream[2], stream[3], 0, 0, 0, 7)) // RST_STREAM: REFUSED_STREAM
				}
				return true
			})
			require.Equal(t, "HTTP/1.1", r.chat("s").text)
			require.Equal(t, "HTTP/1.1", r.do("GET", "/v1/models", "").text)
			require.EqualValues(t, 2, refused.Load(), "once each")
			require.Zero(t, r.failures())
		})
	}
}

// What has not been modified may say how long it is, also over HTTP/2.
func TestNotModified(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.overTLS(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusNotModified)
	}, withHTTP2)
	require.Equal(t, http.StatusNotModified, r.do("GET", "/v1/models", "", "If-None-Match", `"x"`).StatusCode)
}

// An upstream that breaks off a connection for a header that is too long takes nothing from
// others with it: nginx and Go do so over HTTP/2.
func TestLongHeaderGoesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	open, answered := make(chan struct{}), make(chan struct{})
	r.overFrames(func(c net.Conn, stream [4]byte, length int64) bool {
		if length > 1000 {
			return false
		}
		go func() {
			close(open)
			<-answered
			c.Write([]byte{0, 0, 1, 1, 5, stream[0], stream[1], stream[2], stream[3], 0x88}) // HEADERS, and no more: 200
		}()
		return true
	})
	var others sync.WaitGroup
	others.Go(func() {
		resp, err := r.try("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Error(resp.Response, err)
		}
	})
	<-open
	long := strings.Repeat("~", 10_000)
	require.Equal(t, "HTTP/1.1", r.do("GET", "/v1/models", "", "X-Long", long).text)
	require.Equal(t, "HTTP/1.1", r.do("GET", "/v1/models?"+long, "").text)
	close(answered)
	others.Wait()
	require.Zero(t, r.failures())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
