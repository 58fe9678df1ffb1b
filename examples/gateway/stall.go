package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// stalled is after how long whoever stops in the middle of a request or an answer is given
// up: who sends no more of it, or takes no more, but not who is slow or waits for an answer.
const stalled = time.Minute

// requireArrival makes reading a body fail once the client has stopped sending it, even
// where h reads none and the server does, to be rid of it. The answer may take any time.
func requireArrival(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			body := &arriving{ReadCloser: r.Body, conn: http.NewResponseController(w)}
			r = r.WithContext(r.Context()) // the server has to know its own body again
			r.Body = body
			body.renew()
		}
		h.ServeHTTP(w, r)
	})
}

// arriving is a body of which every piece has to come in time.
type arriving struct {
	io.ReadCloser
	conn *http.ResponseController
	err  error // of the last Read
}

func (a *arriving) Read(p []byte) (int, error) {
	if a.err != nil { // the connection may have another request by now
		return 0, a.err
	}
	a.renew()
	var n int
	n, a.err = a.ReadCloser.Read(p)
	return n, a.err
}

// renew gives the next piece its time. At the end of the body the server takes that away.
func (a *arriving) renew() { a.conn.SetReadDeadline(time.Now().Add(stalled)) }

// departing is a connection whose other end has to take in time what it is sent: a client that no
// longer reads its answer is given up, and so is an upstream that no longer reads a request. That
// would wait for ever, and while a body is still coming, a client that has left is not noticed.
type departing struct{ net.Conn }

// piece is how much has to be taken in that time: little enough for a slow line.
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

// listener accepts clients by such connections.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return departing{c}, nil
}

// taken is a body in memory of which an upstream has to take every piece in time, also over
// HTTP/2: there it can let others pass on the same connection, and take nothing of this one.
// Over HTTP/1.1 the connection sees to that, and package http sends a body along with its
// header in one piece if it knows it to be in memory, as it does not of this one.
type taken struct {
	io.ReadCloser
	timer *time.Timer
}

func (t taken) Read(p []byte) (int, error) {
	if t.timer.Stop() { // else it has fired, or the answer has begun
		t.timer.Reset(stalled)
	}
	return t.ReadCloser.Read(p)
}

// coming is the body of an answer of which every piece has to come in time: see try. How long
// the client takes to read a piece does not count.
type coming struct {
	io.ReadCloser
	giveUp func()
}

func (c coming) Read(p []byte) (int, error) {
	defer time.AfterFunc(stalled, c.giveUp).Stop()
	return c.ReadCloser.Read(p)
}

var errStalled = errors.New("takes no more of the request")
