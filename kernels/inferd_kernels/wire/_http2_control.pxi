# What the peer is told beside its answers.

cdef class _Control(_Receiving):
    """Resets, pings and goodbyes."""

    def reset(self, Stream stream, uint32_t code):
        """Reset a call with one of HTTP/2's error codes."""
        if stream.closed or self.failed:
            return
        stream.finished = True
        stream.discarding = True
        nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, stream.id, code)

    def ping(self):
        """Ask the peer for a sign of life; :attr:`pongs` counts them."""
        if not self.failed:
            nghttp2_submit_ping(self.session, NGHTTP2_FLAG_NONE, NULL)

    def announce_shutdown(self):
        """Tell the peer to open its next calls elsewhere; those it opens still are served."""
        if not self.failed:
            nghttp2_submit_shutdown_notice(self.session)

    def refuse_calls(self):
        """Serve no further calls; the connection is done when those that are open have ended."""
        if not self.failed and not self.terminating:
            nghttp2_submit_goaway(
                self.session, NGHTTP2_FLAG_NONE,
                nghttp2_session_get_last_proc_stream_id(self.session), NGHTTP2_NO_ERROR, NULL, 0,
            )

    def terminate(self, uint32_t code=0):
        """Say goodbye with an error code; the connection is done when that is written."""
        if not self.failed and not self.terminating:
            self.terminating = True
            nghttp2_session_terminate_session(self.session, code)
