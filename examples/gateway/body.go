package main

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// upload is the body of one attempt that is too large to be kept: it comes from
// the client as it goes to the upstream. It knows whose fault it is if that
// ends early. A nil upload stands for a body that is not read from the client.
type upload struct {
	from                io.Reader
	read, broke, closed atomic.Bool
}

func (u *upload) Read(p []byte) (int, error) {
	u.read.Store(true)
	if u.closed.Load() {
		return 0, errors.New("read after close")
	}
	n, err := u.from.Read(p)
	if err != nil && err != io.EOF {
		u.broke.Store(true)
	}
	return n, err
}

// Close leaves the client's body open, for another attempt.
func (u *upload) Close() error {
	u.closed.Store(true)
	return nil
}

// broken reports whether the client failed to deliver.
func (u *upload) broken() bool { return u != nil && u.broke.Load() }

// untouched reports whether all of the body is there for another attempt. If
// so, this one will not touch it any more.
func (u *upload) untouched() bool {
	if u == nil {
		return true
	}
	u.closed.Store(true)
	return !u.read.Load()
}

// followed is the body of a response. It tells how it ended, once.
type followed struct {
	io.ReadCloser
	text io.WriteCloser // gets what is read; nil if nobody wants it
	end  func(error)    // nil at its end, or closed before
	once sync.Once
}

// reader returns what writes the text of a response of that encoding to w, or
// nil if it cannot. Close waits until all is written.
func reader(encoding string, w io.Writer) io.WriteCloser {
	switch encoding {
	case "", "identity":
		return asIs{w}
	case "gzip":
		r, pipe := io.Pipe()
		g := &gunzip{PipeWriter: pipe, done: make(chan struct{})}
		go func() {
			defer close(g.done)
			if z, err := gzip.NewReader(r); err == nil {
				io.Copy(w, z)
			}
			r.Close() // what else comes is of no interest
		}()
		return g
	}
	return nil
}

type asIs struct{ io.Writer }

func (asIs) Close() error { return nil }

// gunzip is written what is compressed.
type gunzip struct {
	*io.PipeWriter
	done chan struct{}
}

func (g *gunzip) Close() error {
	g.PipeWriter.Close()
	<-g.done
	return nil
}

// acceptReadable asks for a response that a reader can read: if the client
// takes gzip, in that, and else as it is.
func acceptReadable(h http.Header) {
	encoding := "identity"
	if strings.Contains(strings.Join(h["Accept-Encoding"], ","), "gzip") {
		encoding = "gzip"
	}
	h.Set("Accept-Encoding", encoding)
}

func (f *followed) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.text != nil {
		f.text.Write(p[:n])
	}
	switch {
	case err == io.EOF:
		f.finish(nil)
	case err != nil:
		f.finish(err)
	}
	return n, err
}

// Close tells the end first: a Read that fails because of it is no failure.
func (f *followed) Close() error {
	f.finish(nil)
	return f.ReadCloser.Close()
}

func (f *followed) finish(err error) {
	f.once.Do(func() {
		if f.text != nil {
			f.text.Close()
		}
		f.end(err)
	})
}

// upgraded is the body of a response that switched protocols: ReverseProxy
// writes to it too.
type upgraded struct {
	*followed
	io.Writer
}

// discard lets the connection be used again if what is left is not much. It
// does not make the next attempt wait for it; the end of the request ends it.
func discard(body io.ReadCloser) {
	go func() {
		io.CopyN(io.Discard, body, 64<<10)
		body.Close()
	}()
}
