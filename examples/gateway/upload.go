package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// upload is the body of one attempt that is too large to be kept: it comes from
// the client as it goes to the upstream. It knows whose fault it is if that
// ends early. A nil upload stands for a body that is not read from the client.
type upload struct {
	from         io.Reader
	over         <-chan struct{} // closed when the client has its answer
	ended, broke atomic.Bool

	mu           sync.Mutex
	read, closed bool
	pending      bool      // an answer begins, which may be leave to send it, or the upstream's last word
	changed      sync.Cond // one of these has
}

func newUpload(from io.Reader, over <-chan struct{}) *upload {
	u := &upload{from: from, over: over}
	u.changed.L = &u.mu
	return u
}

// answers notes that an answer begins. Package http reads the body before it hands over one that is
// not leave to send it, if it is to keep the connection. What may be less than an answer, such as a
// 103, keeps nobody waiting for long.
func (u *upload) answers() {
	u.set(&u.pending, true)
	time.AfterFunc(time.Second, func() { u.set(&u.pending, false) })
}

func (u *upload) set(what *bool, to bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*what = to
	u.changed.Broadcast()
}

// begin reports whether the body may be read. At first it has the client told to continue, if
// that waits to be: package http does not do so once the answer has begun, and where both come
// at the same time, it may wait for the body before it sends the answer (Go 1.27).
func (u *upload) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.pending && !u.read && !u.closed {
		u.changed.Wait()
	}
	if !u.closed && !u.read {
		u.read = true
		u.from.Read(nil)
	}
	return !u.closed
}

// wanted notes that the upstream has asked for the body, which its answer does not change.
func (u *upload) wanted() { u.set(&u.read, true) }

func (u *upload) Read(p []byte) (int, error) {
	if !u.begin() {
		<-u.over // at an error before that, package http would break off the answer
		return 0, errors.New("read after close")
	}
	n, err := u.from.Read(p)
	switch err {
	case nil:
	case io.EOF:
		u.ended.Store(true)
	default:
		u.broke.Store(true)
	}
	return n, err
}

// Close leaves the client's body open, for another attempt.
func (u *upload) Close() error {
	u.set(&u.closed, true)
	return nil
}

// broken reports whether the client failed to deliver.
func (u *upload) broken() bool { return u != nil && u.broke.Load() }

// waits reports whether the client has yet to deliver some of it.
func (u *upload) waits() bool { return u != nil && !u.ended.Load() }

// untouched reports whether all of the body is there for another attempt. If
// so, this one will not touch it any more.
func (u *upload) untouched() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = u.closed || !u.read
	u.changed.Broadcast()
	return !u.read
}

// interim has a client told one thing at a time before its answer: what the upstream says by then,
// such as a 103, which comes while the body is sent, and that it is to continue, which package http
// says at the first Read of the body.
type interim struct {
	http.ResponseWriter
	body io.Reader
	mu   sync.Mutex
}

func (i *interim) WriteHeader(code int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ResponseWriter.WriteHeader(code)
}

func (i *interim) Read(p []byte) (int, error) {
	if len(p) == 0 { // see begin
		i.mu.Lock()
		defer i.mu.Unlock()
	}
	return i.body.Read(p)
}

func (i *interim) Unwrap() http.ResponseWriter { return i.ResponseWriter }
