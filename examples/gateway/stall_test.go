package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// connect returns a connection to a server of h. It wants virtual time.
func connect(t *testing.T, h http.Handler) net.Conn {
	s := newServer("", h, slog.New(slog.DiscardHandler))
	l := make(pipes)
	go s.Serve(listener{l})
	client, server := net.Pipe()
	l <- server
	t.Cleanup(func() {
		close(l)
		s.Close()
		<-time.After(time.Second) // since Go 1.27, the server lingers before it hangs up
	})
	return client
}

// A client's header has a limit, before it is made longer by the keys that go into it.
func TestLargeHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int]int{100_000: http.StatusNoContent, 200_000: http.StatusRequestHeaderFieldsTooLarge} {
			client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			go fmt.Fprintf(client, "GET /?%s HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("key=&", n/5))
			resp, err := http.ReadResponse(bufio.NewReader(client), nil)
			require.NoError(t, err)
			require.Equal(t, want, resp.StatusCode)
		}
	})
}

// Who stops sending a request is given up after a minute, but not who is slow, nor who
// waits for a long answer, on the same connection.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int64{"kept": 1000, "too large to keep": 10} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return nil, err
					}
					return w.RoundTrip(r)
				})
				client := connect(t, w.g)
				answers := bufio.NewReader(client)

				w.let("a", streams(time.Hour, first, time.Hour, final))
				for _, size := range []int{0, 50, 50} {
					fmt.Fprintf(client, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
					for range size {
						<-time.After(stalled - time.Second)
						fmt.Fprint(client, "x")
					}
					resp, err := http.ReadResponse(answers, nil)
					require.NoError(t, err)
					require.Equal(t, 200, resp.StatusCode)
					text, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, first+final, string(text))
				}

				fmt.Fprint(client, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nthe first half ")
				start := time.Now()
				_, err := io.ReadAll(answers)
				require.NoError(t, err, "it ends, with an answer or none")
				require.GreaterOrEqual(t, time.Since(start), stalled)
				require.Less(t, time.Since(start), 2*stalled)
				require.Equal(t, "in", w.g.status().Upstreams[0].State, "whose fault it is not")
			}, func(o *options) { o.bodyLimit = limit })
		})
	}
}

// So is an upstream that stops in the middle of its answer to a body that it has not read: nothing
// is read from the client then, so nothing tells that it has left.
func TestStalledAnswerToNoBody(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
			rest := readFunc(func([]byte) (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			})
			slowly := &partsReader{parts: []any{stalled - time.Second, "be", stalled - time.Second, "gun"}}
			return &http.Response{StatusCode: 413, Header: http.Header{}, ContentLength: 10, Body: io.NopCloser(io.MultiReader(slowly, rest)), Request: r}, nil
		})
		client := connect(t, w.g)
		fmt.Fprint(client, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
		start := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, 413, resp.StatusCode)
		text, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, "begun", string(text))
		require.Equal(t, 3*stalled-2*time.Second, time.Since(start))
		require.Equal(t, "in", w.g.status().Upstreams[0].State)
	}, func(o *options) { o.bodyLimit = 10 })
}

// But an answer does not stop where it is the client that takes its time.
func TestSlowlyReadAnswerToNoBody(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.g.proxy.FlushInterval = 0 // it flushes by a mutex, and in a bubble no time goes by while one is waited for
		w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
			text := readFunc(func(p []byte) (int, error) { return len(p), r.Context().Err() })
			return &http.Response{StatusCode: 413, Header: http.Header{}, ContentLength: 200_000, Body: io.NopCloser(io.LimitReader(text, 200_000)), Request: r}, nil
		})
		client := connect(t, w.g)
		fmt.Fprint(client, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
		slowly := readFunc(func(p []byte) (int, error) {
			<-time.After(time.Second)
			return client.Read(p[:min(len(p), 500)])
		})
		resp, err := http.ReadResponse(bufio.NewReader(slowly), nil)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.EqualValues(t, 200_000, n)
	}, func(o *options) { o.bodyLimit = 10 })
}

// So is who stops sending what nobody is going to read.
func TestStalledBodyUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := connect(t, http.NotFoundHandler())
		fmt.Fprint(client, "POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nthe first half ")
		start := time.Now()
		text, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Contains(t, string(text), " 404 ")
		require.Less(t, time.Since(start), 2*stalled)

		// Who has asked whether to send it is not waited for.
		client = connect(t, http.NotFoundHandler())
		fmt.Fprint(client, "POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
		start = time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, 404, resp.StatusCode)
		require.Zero(t, time.Since(start))
	})

	body := &arriving{ReadCloser: http.NoBody, conn: http.NewResponseController(httptest.NewRecorder())}
	for range 2 {
		n, err := body.Read(make([]byte, 1))
		require.Zero(t, n)
		require.ErrorIs(t, err, io.EOF)
	}
}

// Who does not read on is given up after a minute, but not who is slow.
func TestDeparting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		const pieces = 5
		go func() {
			for range pieces {
				<-time.After(stalled - time.Second)
				io.ReadFull(there, make([]byte, piece))
			}
		}()
		c := departing{here}
		n, err := c.Write(make([]byte, pieces*piece))
		require.NoError(t, err)
		require.Equal(t, pieces*piece, n)
		<-time.After(time.Hour) // which is nobody's fault

		start := time.Now()
		n, err = c.Write([]byte("more"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n)
		_, err = c.Write([]byte("goodbye")) // as TLS says when it is closed
		require.Error(t, err)
		require.Equal(t, stalled, time.Since(start))
		require.NoError(t, c.CloseWrite(), "there is nothing to close in memory")
	})
}

// So it is with clients, whatever the upstream has yet to say.
func TestClientStopsReading(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.let("a", streams(first, time.Hour, strings.Repeat(first, 1000), time.Hour, final))
		for _, reads := range []bool{true, false} {
			client := connect(t, w.g)
			answer := bufio.NewReader(client)
			fmt.Fprint(client, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
			resp, err := http.ReadResponse(answer, nil)
			require.NoError(t, err)
			if !reads {
				<-time.After(time.Hour + 2*stalled)
				w.g.busy.Wait() // or it would hang here
			}
			text, err := io.ReadAll(resp.Body)
			if reads {
				require.NoError(t, err)
				require.True(t, strings.HasSuffix(string(text), final))
			} else {
				require.Error(t, err)
			}
		}
		require.Equal(t, "in", w.g.status().Upstreams[0].State)
	})
}

// And so it is with upstreams, however they are reached.
func TestUpstreamStopsReading(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	for _, transport := range []*http.Transport{r.g.transport, r.g.fresh.(*http.Transport)} {
		c, err := transport.DialContext(t.Context(), "tcp", r.backends[0].Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		require.IsType(t, departing{}, c)
	}
}

// An upstream that takes nothing more of a body over HTTP/2 keeps the connection alive. It is
// given up, but not one that is slow.
func TestUpstreamTakesNoMore(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"at first": false, "when it is sent again": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				hangs := ""
				w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
					for p := make([]byte, 10); ; {
						if _, err := r.Body.Read(p); err == io.EOF {
							return w.RoundTrip(r)
						} else if err != nil {
							return nil, err
						}
						if r.URL.Host == hangs {
							<-r.Context().Done()
							return nil, r.Context().Err()
						}
						<-time.After(stalled - time.Second)
					}
				})
				w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
					if refuses && r.URL.Host == hangs {
						take(r)
						_, err := r.GetBody()
						return nil, err
					}
					return w.g.fresh.RoundTrip(r)
				})
				ctx, leave := context.WithTimeout(t.Context(), time.Hour)
				defer leave()
				post := func() *httptest.ResponseRecorder {
					r := httptest.NewRequestWithContext(ctx, "POST", "/v1/files", strings.NewReader(strings.Repeat("0123456789", 10)))
					r.Header.Set("X-Session-ID", "s")
					rec := httptest.NewRecorder()
					w.g.ServeHTTP(rec, r)
					return rec
				}
				served := post()
				require.Equal(t, 200, served.Code)
				hangs = served.Header().Get(targetHeader)
				served = post()
				require.Equal(t, 200, served.Code)
				require.NotEqual(t, hangs, served.Header().Get(targetHeader))
				require.EqualValues(t, 1, w.g.status().Upstreams[hangs[0]-'a'].Failures)
			})
		})
	}
}

// That two of them do is not held to be the fault of the request, as that two crash may be.
func TestUpstreamsTakeNoMore(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		require.Equal(t, http.StatusBadGateway, w.ask("POST", "/v1/messages", "{}").Code)
		for _, u := range w.g.status().Upstreams {
			require.Equal(t, "out", u.State, u.Name)
		}
	}, func(o *options) { o.patience, o.cooldown = 0, time.Hour })
}

// An answer goes on, however much of the request its upstream has left when it began and takes
// after that.
func TestAnswerToHalfARequest(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		var attempt context.Context
		w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
			attempt = r.Context()
			p := make([]byte, 1)
			r.Body.Read(p)
			time.AfterFunc(time.Second, func() { r.Body.Read(p) })
			resp := stream(first, 2*stalled, final)
			resp.Request = r
			return resp, nil
		})
		w.ask("POST", "/v1/messages", "{}")
		require.NoError(t, attempt.Err())
	})
}
