package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"time"
)

// kept is an answer that tells of a failure, while another upstream is asked for a better
// one.
type kept struct {
	resp   *http.Response
	choice *selection // that it is of
	ready  chan bool  // gets whether the body was read
}

const (
	maxKept  = 64 << 10        // how long a body is that is kept,
	keptSoon = 5 * time.Second // and how long it is waited for at the end
)

// keep reads the body of an answer at once, so that its connection can be used again and
// nothing breaks off later. It does not make the next attempt wait for it; the end of
// the request ends it.
func keep(resp *http.Response, choice *selection) *kept {
	k := &kept{resp, choice, make(chan bool, 1)}
	go func() {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxKept+1))
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		k.ready <- err == nil && len(body) <= maxKept
	}()
	return k
}

// whole reports whether there is an answer, of which all can be read. It may be
// asked once.
func (k *kept) whole() bool {
	if k == nil {
		return false
	}
	select {
	case ok := <-k.ready:
		return ok
	case <-time.After(keptSoon):
		return false
	}
}

// glance returns what an answer says, if that is not much, comes soon and can be read. It
// can still be read after that, when it has come.
func glance(resp *http.Response) (said []byte, ok bool) {
	body := resp.Body
	ahead, came := bufio.NewReaderSize(body, maxKept), make(chan struct{})
	var err error
	go func() {
		_, err = ahead.Peek(maxKept)
		close(came)
	}()
	resp.Body = struct {
		io.Reader
		io.Closer
	}{afterwards{came, ahead}, body}
	select {
	case <-came:
		said, _ = ahead.Peek(ahead.Buffered())
		return said, err == io.EOF && !encoded(resp.Header)
	case <-time.After(keptSoon):
		return nil, false
	}
}

// afterwards is what can be read once the channel is closed.
type afterwards struct {
	when <-chan struct{}
	io.Reader
}

func (a afterwards) Read(p []byte) (int, error) {
	<-a.when
	return a.Reader.Read(p)
}
