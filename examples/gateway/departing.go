package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// departing is a connection whose other end has to take in time what it is sent: a client that no
// longer reads its answer is given up, and so is an upstream that no longer reads a request. That
// would wait for ever, and while a body is still coming, a client that has left is not noticed.
type departing struct{ net.Conn }

// piece is how much has to be taken within the time that one piece has. A slow line is none that
// has stalled.
const piece = 64 << 10

func (d departing) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		d.SetWriteDeadline(time.Now().Add(stalled))
		var m int
		m, err = d.Conn.Write(p[n:min(n+piece, len(p))])
		n += m
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.Conn.Close() // or TLS would try to say goodbye, for as long again
	}
	return n, err
}

// CloseWrite lets the server end a connection that still gets something, so that the answer is read.
func (d departing) CloseWrite() error {
	if c, ok := d.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// taken is the body of a request of which an upstream has to take every piece in time, also over
// HTTP/2: there it can let others pass on the same connection, and take nothing of this one.
type taken struct {
	io.ReadCloser
	timer *time.Timer
}

func (t taken) Read(p []byte) (int, error) {
	t.timer.Stop() // it is the client that is waited for
	n, err := t.ReadCloser.Read(p)
	t.timer.Reset(stalled)
	return n, err
}

var errStalled = errors.New("takes no more of the request")

// accept serves such connections.
func accept(s *http.Server, l net.Listener) error { return s.Serve(departures{l}) }

// departures is a listener of them.
type departures struct{ net.Listener }

func (d departures) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return departing{c}, nil
}

// dial connects to an upstream, or to the proxy before it.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return departing{c}, nil
}
