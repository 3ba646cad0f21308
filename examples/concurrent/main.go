// Command concurrent has four requests under way to one server, which answers the last one
// first: the token of a response says whose it is (RFC 7252 §5.3.2).
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

const jobs = 4

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// answer takes the longer, the smaller the job's number is.
func answer(w coap.ResponseWriter, r *coap.Request) {
	job, _ := strconv.Atoi(r.PathValue("job"))
	time.Sleep(time.Duration(jobs-job) * 50 * time.Millisecond)
	fmt.Fprintf(w, "result %d", job)
}

func run(ctx context.Context, out io.Writer) error {
	conn, err := transport.Listen(ctx, "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		return err
	}
	mux := coap.NewMux()
	mux.HandleFunc("GET /jobs/{job}", answer)
	go (&coap.Server{Handler: mux}).Serve(ctx, conn)

	client := &coap.Client{Params: coap.Params{NStart: jobs}} // 1 by default: one after the other
	defer client.Close()
	lines := make(chan string)
	for job := range jobs {
		go func() { lines <- get(ctx, client, fmt.Sprintf("coap://%v/jobs/%d", conn.LocalAddr(), job), job) }()
	}
	for range jobs {
		fmt.Fprintln(out, <-lines)
	}
	return nil
}

func get(ctx context.Context, client *coap.Client, url string, job int) string {
	resp, err := client.Get(ctx, url)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("job %d: %s, token %v", job, resp.Payload(), resp.Message().Token())
}
