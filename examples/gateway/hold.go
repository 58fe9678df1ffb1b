package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ahead is a body whose beginning is read before it is asked for.
type ahead struct {
	io.ReadCloser
	ready chan struct{} // closed when nothing more is read ahead

	mu   sync.Mutex
	buf  []byte // from the pool; nil if it was given back, or was too small
	got  []byte // what was not asked for yet
	err  error
	over bool // it is asked for now: what comes is not for us to read ahead
}

// What counts as the beginning of a body.
type beginning uint8

const (
	anything beginning = iota // what comes first
	anEvent                   // the first event of a stream
	allOfIt
)

const (
	firstEvent = 4 << 10 // how long an event may be to be read whole,
	maxWhole   = 1 << 20 // and how long a body
)

// fill reads the beginning, or what there is of it when it is asked for.
func (a *ahead) fill(until beginning) {
	defer close(a.ready)
	for free := a.room(until); free != nil; free = a.room(until) {
		n, err := a.ReadCloser.Read(free)
		a.mu.Lock()
		a.got, a.err = a.got[:len(a.got)+n], err // free is behind it, whatever was asked for meanwhile
		a.mu.Unlock()
	}
}

// room returns where to read more of the beginning, or nil if that is enough.
func (a *ahead) room(until beginning) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.over || a.begun(until) {
		return nil
	}
	if len(a.got) == cap(a.got) {
		a.got = slices.Grow(a.got, len(a.got))
		a.release()
	}
	return a.got[len(a.got):cap(a.got)]
}

func (a *ahead) begun(until beginning) bool {
	switch until {
	case allOfIt:
		return len(a.got) >= maxWhole
	case anEvent:
		return len(a.got) >= firstEvent || bytes.Contains(a.got, []byte("\n\n")) || bytes.Contains(a.got, []byte("\n\r\n")) || bytes.Contains(a.got, []byte("\r\r"))
	}
	return len(a.got) > 0
}

func (a *ahead) release() {
	if a.buf != nil {
		buffers.Put(a.buf)
		a.buf = nil
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	if n := a.take(p); n > 0 || len(p) == 0 {
		return n, nil
	}
	<-a.ready
	if n := a.take(p); n > 0 {
		return n, nil
	}
	a.got = nil
	a.release()
	if a.err != nil {
		return 0, a.err
	}
	return a.ReadCloser.Read(p)
}

// take returns what there is.
func (a *ahead) take(p []byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := copy(p, a.got)
	a.got = a.got[n:]
	return n
}

// stop ends reading ahead with what is being read.
func (a *ahead) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// await waits until the response has really begun: a status of 200 says little,
// and while the client has nothing of the response, another upstream can still
// give a better one. It does not wait for ever, since there are clients that
// want to see a status soon. The error is that of a response that never began.
func (g *gateway) await(ctx context.Context, f *followed, until beginning) error {
	a := &ahead{ReadCloser: f.ReadCloser, ready: make(chan struct{}), buf: buffers.Get()}
	a.got = a.buf[:0]
	f.ReadCloser = a
	go a.fill(until)
	timer := time.NewTimer(g.hold)
	defer timer.Stop()
	select {
	case <-a.ready:
	case <-timer.C:
		a.stop()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	if a.err == io.EOF && f.events && len(a.got) == 0 {
		a.err = io.ErrUnexpectedEOF // a stream of nothing is none
	}
	if a.err != nil && a.err != io.EOF {
		f.finish(a.err)
		return errUpstream
	}
	f.foresee(a.got)
	return nil
}

// holdable returns how much of a successful response its client can do without
// for a while: all of one that is of no use in part.
func (x *exchange) holdable(resp *http.Response, f *followed) beginning {
	kind := resp.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "text/event-stream") && f.tap == nil:
		return anything // where an event ends does not show
	case strings.HasPrefix(kind, "text/event-stream"):
		return anEvent
	case strings.HasPrefix(kind, "application/json") && (resp.ContentLength > 0 || x.asks() == whole):
		return allOfIt
	}
	return anything
}

// buffers are for what is read of bodies.
var buffers pool

type pool struct{ p sync.Pool }

const bufferSize = 32 << 10

func (p *pool) Get() []byte {
	if b, ok := p.p.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

func (p *pool) Put(b []byte) { p.p.Put((*[bufferSize]byte)(b)) }
