package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// gunzip is written what is compressed, and writes what is not.
type gunzip struct {
	*io.PipeWriter
	done chan struct{}
}

// maxPlain bounds how much of a compressed response is read: what is larger is
// a trap.
const maxPlain = 64 << 20

var unzippers sync.Pool // of *gzip.Reader

func newGunzip(to io.Writer) *gunzip {
	r, w := io.Pipe()
	g := &gunzip{PipeWriter: w, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		z, _ := unzippers.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if z.Reset(r) == nil {
			io.CopyN(to, z, maxPlain)
		}
		r.Close() // what else comes is of no interest
		unzippers.Put(z)
	}()
	return g
}

// Close waits until all is read.
func (g *gunzip) Close() error {
	g.PipeWriter.Close()
	<-g.done
	return nil
}

// acceptReadable asks for a response that can be read on the way: if the client
// takes gzip, in that, and else as it is.
func acceptReadable(h http.Header) {
	encoding := "identity"
	if strings.Contains(strings.Join(h["Accept-Encoding"], ","), "gzip") {
		encoding = "gzip"
	}
	h.Set("Accept-Encoding", encoding)
}
