package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	var none *upload
	require.True(t, none.untouched())
	require.False(t, none.broken())

	over := make(chan struct{})
	close(over)
	u := newUpload(strings.NewReader("text"), over)
	u.Close()
	n, err := u.Read(make([]byte, 1))
	require.Zero(t, n)
	require.Error(t, err, "it is closed")
	require.False(t, u.broken())

	u = newUpload(strings.NewReader("text"), over)
	io.Copy(io.Discard, u)
	require.False(t, u.waits())
	u.Close()
	require.False(t, u.untouched())
	require.False(t, u.begin(), "it stays closed")

	u = newUpload(iotest.ErrReader(io.ErrUnexpectedEOF), over)
	io.Copy(io.Discard, u)
	require.True(t, u.broken())
	require.False(t, u.untouched())
}

// An upload that is not read before its answer begins is not read at all: the client is not told
// to continue any more. But that is no failure of it until the answer is over, or package http
// would break that off.
func TestUploadThatIsNotWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads []int
		from := readFunc(func(p []byte) (int, error) { reads = append(reads, len(p)); return len(p), nil })
		over := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(over) })
		u := newUpload(from, over)
		require.True(t, u.untouched())
		start := time.Now()
		_, err := u.Read(make([]byte, 1))
		require.Error(t, err)
		require.Equal(t, time.Hour, time.Since(start))
		require.Empty(t, reads)
		require.False(t, u.broken(), "by the client")
		require.True(t, u.waits())

		// If it is read before, the client is told so before anything else happens.
		u = newUpload(from, over)
		for range 2 {
			require.True(t, u.begin())
			require.False(t, u.untouched())
		}
		require.Equal(t, []int{0}, reads)
		u.Read(make([]byte, 1))
		require.Equal(t, []int{0, 1}, reads)

		// What the upstream has asked for it gets, though its answer may come before.
		u = newUpload(from, over)
		u.answers()
		u.wanted()
		start = time.Now()
		require.False(t, u.untouched())
		_, err = u.Read(make([]byte, 1))
		require.NoError(t, err)

		// What has begun goes on when an answer begins.
		u = newUpload(from, over)
		require.True(t, u.begin())
		u.answers()
		require.True(t, u.begin())
		require.Zero(t, time.Since(start))

		// What is closed waits for no answer.
		u = newUpload(from, over)
		u.answers()
		u.Close()
		require.False(t, u.begin())
		u = newUpload(from, over)
		u.answers()
		time.AfterFunc(time.Millisecond, func() { u.untouched() })
		require.False(t, u.begin())
		require.Equal(t, time.Millisecond, time.Since(start))
	})
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

// An answer that comes before the client was told to continue is passed on to its end.
func TestAnswerBeforeContinue(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	begun := make(chan struct{})
	r.g.setup.Load().upstreams[0].url = listen(t, func(c net.Conn) {
		from := bufio.NewReader(c)
		http.ReadRequest(from)
		fmt.Fprintf(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 200000\r\n\r\n%0100000d", 0)
		<-begun
		fmt.Fprintf(c, "%0100000d", 0)
		io.Copy(io.Discard, from)
	})
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.front.URL, strings.NewReader(strings.Repeat("x", 1<<20)))
	require.NoError(t, err)
	req.Header.Set("Expect", "100-continue")
	client := http.Transport{ExpectContinueTimeout: time.Hour}
	defer client.CloseIdleConnections()
	resp, err := client.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 413, resp.StatusCode)
	_, err = io.ReadFull(resp.Body, make([]byte, 90_000))
	require.NoError(t, err)
	close(begun)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Len(t, rest, 110_000)
}

// But an upstream that has told it to continue gets the body, however soon it answers, and so
// does one whose client waits for nothing.
func TestAnswerAfterContinue(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Expect") != "" {
				trace := httptrace.ContextClientTrace(r.Context())
				trace.Got100Continue()
				require.NoError(t, trace.Got1xxResponse(http.StatusContinue, nil))
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 5, Body: r.Body, Request: r}, nil
		})
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			client := connect(t, w.g)
			answers := bufio.NewReader(client)
			fmt.Fprint(client, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"+expect+"\r\n")
			if expect != "" {
				resp, err := http.ReadResponse(answers, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusContinue, resp.StatusCode)
			}
			fmt.Fprint(client, "hello")
			resp, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(text))
		}
	}, func(o *options) { o.bodyLimit = 4 })
}

// One who refuses the body before it has asked for it has not had any of it, though package http
// begins to send that, to keep the connection, before it hands over the refusal.
func TestRefusalBeforeContinue(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		refused := false
		w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
			if answers := httptrace.ContextClientTrace(r.Context()).GotFirstResponseByte; answers != nil {
				answers()
			}
			if !refused {
				refused = true
				go io.Copy(io.Discard, r.Body)
				<-time.After(time.Millisecond)
				return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}
			// From this one comes no more than a hint, such as 103, before it has the body.
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})
		start := time.Now()
		rec := w.ask("POST", "/v1/files", "hello", "Expect", "100-continue")
		require.True(t, refused)
		require.Equal(t, 200, rec.Code)
		require.Equal(t, "hello", rec.Body.String())
		require.LessOrEqual(t, time.Since(start), time.Second+time.Millisecond)
	}, func(o *options) { o.bodyLimit = 4 })
}

// What an upstream says before its answer and that a client is to continue are told one after the
// other, whichever comes first. Run with -race.
func TestHintsBesideContinue(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
			hinted := make(chan error)
			go func() {
				hinted <- httptrace.ContextClientTrace(r.Context()).Got1xxResponse(http.StatusEarlyHints, nil)
			}()
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.NoError(t, <-hinted)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})
		client := connect(t, w.g)
		answers := bufio.NewReader(client)
		fmt.Fprint(client, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		told := map[int]bool{}
		for range 2 {
			resp, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			told[resp.StatusCode] = true
		}
		require.Equal(t, map[int]bool{http.StatusContinue: true, http.StatusEarlyHints: true}, told)
		fmt.Fprint(client, "hello")
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	}, func(o *options) { o.bodyLimit = 4 })
}

// A large body that cannot be sent again gets a connection of its own, over HTTP/1.1: over
// HTTP/2, several at a time would get into each other's. But it does not ask for its end:
// servers that end it at once make their answer unreadable if they have not read the body.
func TestConnectionsOfLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	seen := map[string]bool{}
	r.overTLS(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		seen[req.RemoteAddr] = true
		if req.Close || len(req.Header["Connection"]) > 0 {
			w.WriteHeader(400)
		}
		io.WriteString(w, req.Proto)
	}, withHTTP2)
	require.Equal(t, "HTTP/2.0", r.do("POST", "/x", "small").text)
	clear(seen)
	for i := range 5 {
		resp := r.do("POST", "/x", "more than ten bytes")
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "HTTP/1.1", resp.text)
		require.Len(t, seen, i+1)
	}
}

// A client is told if its connection ends with an answer that came before the request was
// read. Otherwise it sends the next one there, which is lost.
func TestEndOfAConnectionIsAnnounced(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.bodyLimit = 10 })
	const post = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
	read := func(answers *bufio.Reader) (closes bool) {
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		return resp.Close
	}
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })
	c, answers := r.dial(post + strings.Repeat("x", 50))
	require.False(t, read(answers))
	fmt.Fprint(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	require.False(t, read(answers), "the next request")

	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // answers without waiting for the rest
		w.WriteHeader(413)
	})
	_, answers = r.dial(post + "the first half")
	require.True(t, read(answers))
	r.g.setup.Load().upstreams[0].health.failed(time.Now(), time.Hour, true)
	_, answers = r.dial(post + "the first half")
	require.True(t, read(answers), "nobody was asked")
}

// A client that does not deliver the rest of a body says nothing about the
// upstream, whether that has begun to answer or not.
func TestClientBreaksOffItsBody(t *testing.T) {
	t.Parallel()
	for begun, want := range map[bool]int{false: 400, true: 200} {
		r := newRig(t, 2, func(o *options) { o.bodyLimit = 10 })
		arrived := make(chan struct{}, 2)
		r.all(func(w http.ResponseWriter, req *http.Request) {
			if begun {
				http.NewResponseController(w).EnableFullDuplex()
				io.WriteString(w, "begun")
				w.(http.Flusher).Flush()
			}
			arrived <- struct{}{}
			io.Copy(io.Discard, req.Body)
		})
		c, answer := r.dial("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n")
		<-arrived
		if begun {
			_, err := answer.Peek(1)
			require.NoError(t, err)
		}
		io.WriteString(c, "nonsense\r\n")
		resp, err := http.ReadResponse(answer, nil)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode)
		io.Copy(io.Discard, resp.Body)
		r.settle()
		require.Zero(t, r.failures())
		require.EqualValues(t, 1, r.hits())
	}
}

// An upstream that gives up a client that sends its body too slowly is well.
func TestUpstreamGivesUpAnUpload(t *testing.T) {
	t.Parallel()
	for name, does := range map[string]func(http.ResponseWriter){
		"hangs up": func(w http.ResponseWriter) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		},
		"breaks off": func(w http.ResponseWriter) {
			http.NewResponseController(w).EnableFullDuplex()
			io.WriteString(w, "an answer")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"500": func(w http.ResponseWriter) {
			http.NewResponseController(w).EnableFullDuplex()
			w.WriteHeader(500)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, func(o *options) { o.bodyLimit = 10 })
			r.all(func(w http.ResponseWriter, req *http.Request) {
				io.ReadFull(req.Body, make([]byte, 10))
				does(w)
			})
			upload := func() {
				c, answer := r.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nthe first ten bytes")
				defer c.Close()
				var rest sync.WaitGroup
				defer rest.Wait()
				over := make(chan struct{})
				defer close(over)
				rest.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
							c.Write([]byte("x")) // package http looks after a connection that has ended when there is more to send
						}
					}
				})
				if resp, err := http.ReadResponse(answer, nil); err == nil {
					io.Copy(io.Discard, resp.Body)
				}
			}
			upload()
			upload()
			require.EqualValues(t, 2, r.hits())
			require.Equal(t, 2, r.in(), r.log)
			for _, b := range r.backends {
				b.dies() // that is no client's doing
			}
			upload()
			require.Zero(t, r.in())
		})
	}
}
