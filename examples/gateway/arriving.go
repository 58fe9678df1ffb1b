package main

import (
	"io"
	"net/http"
	"time"
)

// stalled is after how long without a byte of its body a request is given up, and within
// what time its headers have to be there.
const stalled = time.Minute

// requireArrival lets reading a body fail once the client has stopped to send it, and also
// where h reads none and the server does, to be rid of it. The answer may take
// any time.
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
