package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPassesThroughAsItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var got *http.Request
	var body []byte
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		got = req.Clone(context.Background())
		body, _ = io.ReadAll(req.Body)
		h := w.Header()
		h["X-Upstream"] = []string{"1", "2"}
		h["Content-Type"] = nil
		h.Set("Trailer", "X-Sum")
		h.Set("Affinity-Target", "forged")
		h.Set("Affinity-Session", "forged")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "<html>")
		h.Set("X-Sum", "42")
	})
	const path = "/v1beta/models/gemini%2Fpro:streamGenerateContent?alt=sse&a;b=c%20d&&x"
	const text = "  {\"contents\": []}\n"
	resp := r.do("POST", path, text, "X-Custom", "1", "X-Custom", "2", "Forwarded", "for=1.2.3.4",
		"X-Forwarded-For", "1.2.3.4", "Authorization", "Bearer mine", "User-Agent", "", "Expect", "100-continue")
	require.Equal(t, path, got.URL.RequestURI())
	require.Equal(t, text, string(body))
	require.EqualValues(t, len(text), got.ContentLength)
	require.Equal(t, strings.TrimPrefix(r.backends[0].URL, "http://"), got.Host)
	require.Equal(t, http.Header{
		"X-Custom":        {"1", "2"},
		"X-Forwarded-For": {"1.2.3.4"},
		"Forwarded":       {"for=1.2.3.4"},
		"Authorization":   {"Bearer mine"},
		"Content-Length":  {fmt.Sprint(len(text))},
	}, got.Header, "nothing added, nothing taken away, but that nobody has to wait for the body")

	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	require.Equal(t, "<html>", resp.text)
	require.Equal(t, []string{"1", "2"}, resp.Header["X-Upstream"])
	require.Equal(t, "42", resp.Trailer.Get("X-Sum"))
	require.NotContains(t, resp.Header, "Content-Type", "the upstream sent none")
	require.Equal(t, []string{"a"}, resp.Header["Affinity-Target"])
	require.Equal(t, []string{"no-session"}, resp.Header["Affinity-Reason"])
	require.NotContains(t, resp.Header, "Affinity-Session")
}

// Where the upstream says nothing of the type, neither does the gateway, whatever came first.
func TestNoTypeIsMadeUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	})
	require.NotContains(t, r.chat("s").Header, "Content-Type")
}

func TestBasePathIsJoined(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"/base", "/base/"} {
		r := newRig(t, 1, func(o *options) { o.upstreams[0].url.Path = base })
		r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.URL.RequestURI()) })
		require.Equal(t, "/base/v1/x%2Fy?q=1", r.do("GET", "/v1/x%2Fy?q=1", "").text)
	}
}

// What is no path is sent to nobody: x:http://h/y would go out as http://h/y, which is not below
// the upstream's path, and leads elsewhere where HTTP_PROXY says who sends it on.
func TestTargetsThatAreNoPath(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url.Path = "/base" })
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.RequestURI) })
	for target, want := range map[string]string{"x:http://h/y": "HTTP/1.1 400 ", "x:y": "HTTP/1.1 400 ", "http://h/y": "/base/y", "x:/y": "/base/y"} {
		require.Contains(t, r.raw("GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), want, target)
	}
	require.EqualValues(t, 2, r.hits())
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

// New conversations go where the least work went, that of old ones included.
func TestPlacementSeesAllWork(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		home, _ := w.do("long")
		for range 8 {
			w.do("long")
		}
		for i := range 5 {
			<-time.After(time.Minute)
			target, _ := w.do(fmt.Sprint("short-", i))
			require.NotEqual(t, home, target)
		}
	})
}

// However little work an upstream has, it does not get all new conversations of
// a moment, whose work is still to come.
func TestPlacementOfABurst(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		for range 100 {
			w.do("long")
		}
		<-time.After(time.Minute)
		clear(w.hits)
		for i := range 80 {
			w.do(fmt.Sprint("short-", i))
		}
		for _, u := range w.g.upstreams {
			require.InDelta(t, 20, w.hits[u.name], 2, "%v", w.hits)
		}
	})
}

// First requests of a session that come at once all get one upstream.
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

// The first requests of many sessions at once do not all see the same idle
// upstream.
func TestConcurrentSessionsSpread(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if _, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", fmt.Sprint("chat-", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, b := range r.backends {
		require.EqualValues(t, 16, b.hits.Load())
	}
}

// Events reach the client one by one: the upstream sends the next one only when
// the client has told that it has the last.
func TestStreamsAreNotHeldBack(t *testing.T) {
	for name, header := range map[string][]string{
		"events":          {"Content-Type", "text/event-stream"},
		"lines":           {"Content-Type", "application/x-ndjson"},
		"lines of JSON":   {"Content-Type", "application/jsonl; charset=utf-8"},
		"of known length": {"Content-Type", "application/x-ndjson", "Content-Length", "45"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			got := make(chan int)
			r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body)
				set(w.Header(), header)
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
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			resp, err := r.client.Do(r.request("s").WithContext(ctx))
			require.NoError(t, err)
			defer resp.Body.Close()
			n := 0
			for events := bufio.NewScanner(resp.Body); events.Scan(); {
				if events.Text() == "" {
					continue
				}
				require.Equal(t, fmt.Sprint("data: ", n), events.Text())
				got <- n
				n++
			}
			require.Equal(t, 5, n)
		})
	}
}

// A request goes to its upstream in one piece, header and body together.
func TestOnePiece(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var writes atomic.Int64
	r.g.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return countedWrites{c, &writes}, err
	}
	r.chat("s")
	require.EqualValues(t, 1, writes.Load())
}

type countedWrites struct {
	net.Conn
	n *atomic.Int64
}

func (c countedWrites) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// A body that is too large to keep is sent on whole, of known length or not.
func TestLargeBodiesAreSentOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, func(o *options) { o.bodyLimit = 1000 })
	r.echoes()
	body := strings.Repeat("large", 100_000)
	sized := r.do("POST", "/x", body)
	require.True(t, body == sized.text)
	chunked, err := r.try("POST", "/x", io.MultiReader(strings.NewReader(body)))
	require.NoError(t, err)
	require.True(t, body == chunked.text)
}

func TestCompressedBodiesAreUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.echoes()
	zipped := zip(`{"conversation_id":"c-1"}`)
	first := r.do("POST", "/x", zipped, "Content-Encoding", "gzip")
	require.Equal(t, zipped, first.text, "what goes on is as it came")
	plain := r.do("POST", "/x", `{"conversation_id":"c-1"}`)
	require.Equal(t, "bound", plain.Header.Get(reasonHeader))
	require.Equal(t, first.Header.Get(sessionHeader), plain.Header.Get(sessionHeader))
}

func TestTenantsShareNoSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	seen := map[string]bool{}
	for _, who := range []struct {
		query  string
		header []string
	}{
		{},
		{"", []string{"Authorization", "Bearer k1"}},
		{"", []string{"Authorization", "Bearer k2"}},
		{"", []string{"X-Api-Key", "k7"}},
		{"", []string{"X-Goog-Api-Key", "k8"}},
		{"", []string{"Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.k9"}},
		{"", []string{"Authorization", "Basic of-all", "X-Api-Key", "k3"}},
		{"", []string{"Authorization", "Basic of-all", "X-Api-Key", "k4"}},
		{"?key=k5", nil},
		{"?alt=sse&key=k6", nil},
		{"?key=k6;x", nil},
		{"?access_token=k10", nil},
		{"?api-key=k5", []string{"Authorization", "Bearer of-all"}},
	} {
		for _, want := range []string{"new", "bound"} {
			resp := r.do("POST", "/v1/messages"+who.query, `{}`, append([]string{"X-Session-ID", "same"}, who.header...)...)
			require.Equal(t, want, resp.Header.Get(reasonHeader), who)
			seen[resp.Header.Get(sessionHeader)] = true
		}
	}
	require.Len(t, seen, 13)
}

// What is read on the way is not compressed, whatever the client would take.
func TestNothingIsCompressed(t *testing.T) {
	t.Parallel()
	for _, accepted := range []string{"gzip, deflate, br, zstd", "br", ""} {
		r := newRig(t, 4)
		var n atomic.Int64
		for _, b := range r.backends {
			b.does(func(w http.ResponseWriter, req *http.Request) {
				want := "identity"
				switch {
				case req.Method == "GET":
					want = accepted // nothing of it is read
				case req.URL.Path != "/v1/responses" && accepted == "":
					want = "" // no state, and the client has not asked for anything
				}
				if got := req.Header.Get("Accept-Encoding"); got != want {
					t.Errorf("%s accepts %q, not %q", req.URL.Path, got, want)
				}
				fmt.Fprintf(w, `{"id":"resp_%s_%d"}`, b.name, n.Add(1))
			})
		}
		header := []string{"Accept-Encoding", accepted} // by hand, so that the client does not ask for gzip
		if accepted == "" {
			header = nil
		}
		id := "resp_0"
		var home string
		for i := range 20 {
			resp := r.do("POST", "/v1/responses", `{"input":"go on","previous_response_id":"`+id+`"}`, header...)
			id = resp.text[len(`{"id":"`) : len(resp.text)-len(`"}`)]
			if home == "" {
				home = resp.Header.Get(targetHeader)
			}
			require.Equal(t, home, resp.Header.Get(targetHeader))
			// A conversation beside, so that the least loaded upstream is another.
			r.do("POST", "/v1/chat/completions", `{"model":"m"}`, append(header, "X-Session-ID", fmt.Sprint(i))...)
		}
		r.do("GET", "/v1/models", "", header...)
	}
}

// What is compressed all the same, or says so, teaches nothing and stops nothing.
func TestCompressedAllTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	junk := strings.Repeat("no gzip ", 100_000)
	for _, encoding := range []string{"gzip", "br"} {
		r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			io.WriteString(w, junk)
		})
		require.True(t, junk == r.do("POST", "/v1/responses", `{"input":"x"}`, "Accept-Encoding", "gzip").text)
	}
}

// upgrade switches a connection to the gateway to another protocol.
func (r *rig) upgrade(protocol string) (net.Conn, *bufio.Reader) {
	c, b := r.dial("GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\nX-Session-ID: s\r\n\r\n")
	resp, err := http.ReadResponse(b, nil)
	require.NoError(r.t, err)
	require.Equal(r.t, 101, resp.StatusCode)
	require.Equal(r.t, "a", resp.Header.Get(targetHeader))
	return c, b
}

// switching is an upstream that switches to a protocol, if it says to which, and then speaks it.
func switching(protocol string, speak func(io.ReadWriter)) http.HandlerFunc {
	if protocol != "" {
		protocol = "Connection: Upgrade\r\nUpgrade: " + protocol + "\r\n"
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n"+protocol+"\r\n")
		speak(struct {
			io.Reader
			io.Writer
		}{rw, c})
	}
}

// echo answers in lines, as what they come.
func echo(c io.ReadWriter) { io.Copy(c, c) }

func TestUpgrades(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].does(switching("echo", echo))
	c, b := r.upgrade("echo")
	for _, line := range []string{"ping\n", "pong\n"} {
		io.WriteString(c, line)
		got, err := b.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, line, got)
	}
	c.Close()
	r.settle()
	require.Zero(t, r.failures(), "the client left")
	var outcomes uint64
	for _, n := range r.g.setup.Load().sel.Stats().Outcomes {
		outcomes += n
	}
	require.EqualValues(t, 1, outcomes)
}

// Who has no more to say after an upgrade may still be answered.
func TestHalfAnUpgradeIsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].does(switching("echo", func(c io.ReadWriter) {
		all, _ := io.ReadAll(c)
		c.Write(all)
	}))
	c, b := r.upgrade("echo")
	io.WriteString(c, "goodbye")
	c.(*net.TCPConn).CloseWrite()
	text, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "goodbye", string(text))
	r.settle()
	require.Zero(t, r.failures())
}

// An upstream that resets the connection when the client has left has not failed.
func TestUpgradeIsLeft(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(io.Discard, c)
			c.(*net.TCPConn).SetLinger(0)
		}
	})
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url = address })
	c, _ := r.upgrade("echo")
	c.Close()
	r.settle()
	require.Zero(t, r.failures())
}

// An upstream that speaks HTTP/2 is sent requests over that, and WebSockets and their like
// over HTTP/1.1, without which there are none.
func TestUpgradesBesideHTTP2(t *testing.T) {
	t.Parallel()
	protocols := make(chan string, 2)
	r := newRig(t, 1)
	r.overTLS(func(w http.ResponseWriter, req *http.Request) {
		protocols <- req.Proto
		if to := req.Header.Get("Upgrade"); to != "" {
			switching(to, echo)(w, req)
		}
	}, withHTTP2)
	// It is no upgrade that a client offers which speaks HTTP/2 itself.
	offers := []string{"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "Http2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"}
	require.Equal(t, 200, r.do("POST", "/", "{}", offers...).StatusCode)
	require.Equal(t, "HTTP/2.0", <-protocols)
	require.Equal(t, 200, r.chat("s").StatusCode)
	require.Equal(t, "HTTP/2.0", <-protocols)
	for _, protocol := range []string{"websocket", "other"} {
		r.g.transport.CloseIdleConnections()
		c, b := r.upgrade(protocol)
		require.Equal(t, "HTTP/1.1", <-protocols)
		io.WriteString(c, "ping\n")
		got, err := b.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ping\n", got)
		c.Close()
	}
	r.settle()
	require.Zero(t, r.failures())
}

// An upstream that switches to what nobody asked for is let go. So is one that chooses among
// several, which is not passed on, but it has done nothing wrong.
func TestWrongUpgrade(t *testing.T) {
	t.Parallel()
	for asked, failures := range map[string]int{"echo": 1, "echo, other": 0} {
		r := newRig(t, 1)
		gone := make(chan struct{})
		r.backends[0].does(switching("other", func(c io.ReadWriter) {
			io.Copy(io.Discard, c)
			close(gone)
		}))
		resp := r.do("GET", "/", "", "Connection", "Upgrade", "Upgrade", asked)
		require.Equal(t, 502, resp.StatusCode)
		<-gone
		r.settle()
		require.EqualValues(t, failures, r.failures(), asked)
	}
}

// One that says it switches, and not to what, or to what nobody has asked for, has switched to
// nothing: another is asked.
func TestUpgradeToNothing(t *testing.T) {
	for _, to := range []string{"", "echo"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			first := r.chat("s").Header.Get(targetHeader)
			r.backend(first).does(switching(to, func(io.ReadWriter) {}))
			answer := r.raw("POST / HTTP/1.1\r\nHost: a\r\nX-Session-ID: s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}more")
			require.Contains(t, answer, "HTTP/1.1 200 OK")
			require.EqualValues(t, 1, r.failures())
		})
	}
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
	answer := r.raw("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	require.Contains(t, answer, "HTTP/1.1 400 ")
	require.Zero(t, r.hits())
}

// Neither ids nor keys nor prompts are in what the gateway writes down, and a
// request takes one line.
func TestLogsNoSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	header := []string{"X-Session-ID", "secret-id", "Authorization", "Bearer secret-key"}
	home := r.do("POST", "/v1/messages?key=secret-query", `{"messages":[{"role":"user","content":"secret-prompt"}]}`, header...).Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, "secret-nonsense\r\n\r\n")
			c.Close()
		}
	})
	moved := r.do("POST", "/v1/messages/secret-path?key=secret-query", `{}`, header...)
	require.Equal(t, 200, moved.StatusCode)
	r.settle()
	log := r.log.String()
	require.Equal(t, 2, strings.Count(log, "msg=request"), log)
	require.Contains(t, log, "no valid answer")
	require.Equal(t, 2, strings.Count(log, " status=200 "), log)
	require.Contains(t, log, " session="+moved.Header.Get(sessionHeader))
	require.NotContains(t, log, "secret")
}

// Nor is what an upstream sends in place of a trailer.
func TestLogsNoTrailers(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	address := listen(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
			<-begun
			io.WriteString(c, "0\r\nsecret-prompt\r\n\r\n")
		}
	})
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url = address })
	resp, err := r.client.Do(r.request("s"))
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, len("begun")))
	require.NoError(t, err)
	close(begun)
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err)
	r.settle()
	require.Contains(t, r.log.String(), "broke off")
	require.NotContains(t, r.log.String(), "secret")
}

// RFC 9110, 7.6.1: what Connection names is for the next one only.
func TestHeadersNamedByConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	got := make(chan http.Header, 2)
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { got <- req.Header })
	r.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-forwarded-for\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n")
	h := <-got
	require.Empty(t, h["X-Forwarded-For"])
	require.Equal(t, []string{"https"}, h["X-Forwarded-Proto"])
}

// What package http takes from a client and does not send is not held against an upstream.
func TestTrailersOfARequest(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-T", "X T", "Host"} {
		r := newRig(t, 2)
		answer := r.raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: " + name + "\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
		require.Contains(t, answer, "answer of ")
		require.Zero(t, r.failures())
	}
}

// Nobody gets from below the path of an upstream to what lies beside it.
func TestPathsLeadDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].url.Path = "/deployments/small"; o.upstreams[0].key = "theirs" })
	for path, want := range map[string]string{
		"/../large/chat":              "400",
		"/x/../../large/chat":         "400",
		"/..":                         "400",
		"/%2e%2E/large/chat":          "400",
		"/.%2e%2flarge/chat":          "400",
		"/..%5clarge/chat":            "400",
		"/..;x/large/chat":            "400",
		"http://h/../large/chat":      "400",
		"/v1/./chat..completions/...": "200",
		"/v1/files?..=/../":           "200",
	} {
		require.Contains(t, r.raw("GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "HTTP/1.1 "+want+" ", path)
	}
	require.EqualValues(t, 2, r.hits())
}
