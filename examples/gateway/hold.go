package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// ahead is a body whose beginning is read before it is asked for.
type ahead struct {
	io.ReadCloser
	buf   []byte
	got   []byte // of buf, what was not asked for yet
	err   error
	ready chan struct{} // closed when the beginning is there; nil if that is known
}

// firstEvent is how long an event may be to be read whole.
const firstEvent = 4 << 10

// fill reads the beginning: what comes first, and of a stream the first event.
func (a *ahead) fill(events bool) {
	for a.err == nil {
		var n int
		n, a.err = a.ReadCloser.Read(a.buf[len(a.got):])
		a.got = a.buf[:len(a.got)+n]
		if len(a.got) >= firstEvent || len(a.got) > 0 && (!events || bytes.HasSuffix(a.got, []byte("\n\n")) || bytes.HasSuffix(a.got, []byte("\r\n\r\n"))) {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	if a.ready != nil {
		<-a.ready
		a.ready = nil
	}
	if len(a.got) > 0 {
		n := copy(p, a.got)
		a.got = a.got[n:]
		return n, nil
	}
	if a.buf != nil {
		buffers.Put(a.buf)
		a.buf = nil
	}
	if a.err != nil {
		return 0, a.err
	}
	return a.ReadCloser.Read(p)
}

// await waits until the response has really begun: a status of 200 says little,
// and while the client has nothing of the response, another upstream can still
// give a better one. It does not wait for ever, since there are clients that
// want to see a status soon. The error is that of a response that never began.
func (g *gateway) await(ctx context.Context, resp *http.Response, f *followed) error {
	a := &ahead{ReadCloser: f.ReadCloser, buf: buffers.Get()}
	f.ReadCloser = a
	if resp.ContentLength > 0 {
		a.fill(f.events)
	} else {
		ready := make(chan struct{})
		a.ready = ready
		go func() {
			defer close(ready)
			a.fill(f.events)
		}()
		timer := time.NewTimer(g.hold)
		defer timer.Stop()
		select {
		case <-ready:
			a.ready = nil
		case <-timer.C:
			return nil
		case <-ctx.Done():
			f.finish(ctx.Err())
			return ctx.Err()
		}
	}
	if a.err != nil && a.err != io.EOF {
		f.finish(a.err)
		return errUpstream
	}
	f.foresee(a.got)
	return nil
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
