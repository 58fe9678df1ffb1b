package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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

// connect returns a connection to a server of h.
func connect(t *testing.T, h http.Handler) net.Conn {
	s := newServer("", h, slog.New(slog.DiscardHandler))
	l := make(pipes)
	go accept(s, l)
	client, server := net.Pipe()
	l <- server
	t.Cleanup(func() {
		close(l)
		s.Close()
	})
	return client
}

// Who stops to send a request is given up after a minute, but not who is slow, nor who
// waits for a long answer, on the same connection.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int64{"kept": 1000, "too large to keep": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, func(o *options) { o.bodyLimit = limit })
				defer w.g.close()
				w.g.fresh = rtFunc(func(r *http.Request) (*http.Response, error) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return nil, err
					}
					return w.RoundTrip(r)
				})
				client := connect(t, w.g)
				answers := bufio.NewReader(client)

				w.let("a", func() (*http.Response, error) { return stream(time.Hour, first, time.Hour, final), nil })
				for range 2 {
					fmt.Fprint(client, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n")
					for range 50 {
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
			})
		})
	}
}

// So is who stops to send what nobody is going to read.
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
	})
}
