"""One video file, read with PyAV: its time stamps without decoding, and exact frames by going forward.

A seek is only a short cut to a packet: the decoder starts at the packet of the planned key frame and at no other, so a
frame is the same whether it is reached by a seek or from the file's start. Time stamps are compared for equality only:
in old containers they do not rise.
"""

import math
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.stream import Disposition

from factory.errors import DataError

if TYPE_CHECKING:
    from av.packet import Packet

FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,mxf"  # no pictures, and no lists that name other files
MAX_PIXELS = 40_000_000  # 8K is 33 million
UNSEEKABLE = {"mpegts", "mpeg", "avi", "flv"}  # their indexes are absent, guessed or count in decoding order
PIECE = 1 << 20
CUT_OFF = 1.0  # seconds, beyond its longest pause, by which a clip's pictures may end before the clip does
DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")  # of a Matroska track
NO_VIDEO = "the file is no video that can be read: it is cut off, or something else"


@dataclass(frozen=True, slots=True)
class Stamps:
    """When the frames of a clip are shown, in units of its time base, and which of them are key frames; both rise."""

    pts: tuple[int, ...]
    keys: tuple[int, ...]


class VideoFile:
    """An open video, for one thread at a time. Raises DataError for whatever is wrong with the file's content.

    Kinds: undecodable (no video by content, cut off, broken), no_video (sound only), codec (no decoder for it),
    too_large, encrypted, frame (planned, but it does not come out of the decoder).
    """

    def __init__(self, path: Path, *, seekable: bool = True, strict: bool = True) -> None:
        """seekable, strict: as an earlier look found them to be (see `entries`)."""
        self.path = path
        self.strict = strict  # frames that are not wholly decodable are lost, not guessed
        self._trusted = seekable
        self._position: int | None = None  # the last key frame that was read
        self._ready: deque[av.VideoFrame] = deque()
        self._fed: set[int] = set()  # key frames given to the decoder since its start
        self._passed: set[int | None] = set()  # frames that came out of it since
        self._start = -math.inf  # the key frame it was started at; frames shown earlier would lack a reference
        self._sound_from = -math.inf  # frames shown earlier build upon something broken
        self._open()

    def _open(self) -> None:
        try:
            self._container = av.open(
                str(self.path.absolute()),  # absolute: a relative name with a colon would be taken for an address
                options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
                metadata_errors="replace",
            )
        except av.FFmpegError as error:
            self._blame(error)
            raise DataError("undecodable", NO_VIDEO) from None
        if not self._container.streams:
            raise DataError("undecodable", NO_VIDEO)
        pictures = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not pictures:
            raise DataError("no_video", "the file holds no moving picture, only sound or other tracks")
        self._stream = pictures[0]
        codec = self._stream.codec_context
        if codec is None:
            raise DataError("codec", "the clip is coded in a way that no decoder here knows: convert it to H.264")
        if codec.width * codec.height > MAX_PIXELS:
            raise DataError("too_large", f"the clip's frames have more than {MAX_PIXELS // 10**6} million pixels")
        codec.options = {"max_pixels": str(MAX_PIXELS)} | ({"err_detect": "explode"} if self.strict else {})
        codec.thread_count = 1  # workers multiply, not threads
        self._packets: Iterator[Packet[Any]] = self._container.demux(self._stream)
        self._forget()

    def close(self) -> None:
        """Free the file and the decoder."""
        self._container.close()

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of a time stamp."""
        return self._stream.time_base or Fraction(1, 1000)

    @property
    def seekable(self) -> bool:
        """Whether the container's index can be trusted."""
        return self._trusted and not UNSEEKABLE & set(self._container.format.name.split(","))

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel ÷ its height."""
        return self._stream.sample_aspect_ratio or Fraction(1)

    @property
    def hides_alpha(self) -> bool:
        """Whether there is alpha beside the frames that are decoded, as in VP8 and VP9."""
        return self._stream.metadata.get("alpha_mode") == "1"

    def stamps(self) -> Stamps:
        """All time stamps, from the packets alone: nothing is decoded. Damage ends the list where it begins."""
        self._reopen()
        shown, keys = set(), set()
        while packet := self._next():
            if packet.pts is None or packet.is_discard or packet.is_corrupt or not packet.size:
                continue
            if packet.has_sidedata("encryption_info"):
                raise DataError("encrypted", "the clip is encrypted: export it without copy protection")
            shown.add(packet.pts)
            if packet.is_keyframe:
                keys.add(packet.pts)
        self.rewind()
        if not keys:
            raise DataError("undecodable", "the clip holds no frame from which decoding could start")
        first = min(keys)
        return Stamps(tuple(sorted(pts for pts in shown if pts >= first)), tuple(sorted(keys)))

    def absent(self, stamps: Stamps) -> tuple[int, ...]:
        """When the first frame of what is cut off was to be shown: asked for, it gives the reason of all the rest.

        Containers of which the beginning suffices (Matroska, MP4 with its index in front) say how long they once were.
        """
        if tagged := DURATION.fullmatch(self._stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tagged.groups())
            promised = 3600 * hours + 60 * minutes + seconds
        elif self._stream.duration:
            promised = float(self._stream.duration * self.time_base)
        else:
            promised = (self._container.duration or 0) / av.time_base
        there = float((stamps.pts[-1] - stamps.pts[0]) * self.time_base)
        pause = float(max((b - a for a, b in pairwise(stamps.pts)), default=0) * self.time_base)
        return (stamps.pts[-1] + 1,) if promised > there + pause + CUT_OFF else ()

    def entries(self, stamps: Stamps) -> tuple[int, ...]:
        """The key frames at which decoding may start, found by trying the second one.

        All of them, if the second group of frames begins and ends the same from there as from the clip's start.
        An open group refers to what a start skips, and a strict decoder takes that for damage: then it becomes lenient.
        If that does not help, only the first: an encoder that refreshes its pictures bit by bit has no other.
        """
        if len(stamps.keys) < 2:
            return stamps.keys
        first, second = stamps.keys[:2]
        after = bisect_left(stamps.pts, stamps.keys[2]) if len(stamps.keys) > 2 else len(stamps.pts)
        ends = (second, stamps.pts[after - 1])
        try:
            truth = [self.frame(pts, first).to_ndarray(format="rgb24") for pts in ends]
        except DataError:  # broken there: it has nothing to say about the rest
            return stamps.keys
        for strict in (True, False):
            self._set_up(strict=strict)
            try:
                here = [self.frame(pts, second).to_ndarray(format="rgb24") for pts in ends]
            except DataError:
                continue
            if all(map(np.array_equal, here, truth)):
                return stamps.keys
        self._trusted = False
        self._set_up(strict=True)
        return stamps.keys[:1]

    def _set_up(self, *, strict: bool) -> None:
        self.strict = strict
        self._reopen()
        self.rewind()

    def rewind(self) -> None:
        """Start afresh: the next frame is sought, as by a reader that has just opened the file."""
        self._forget()
        self._position = None

    def frame(self, pts: int, key_pts: int) -> av.VideoFrame:
        """The frame shown at `pts`, decoded from the key frame shown at `key_pts` on; goes forward where it can.

        Raises DataError("frame") where no such frame comes out, DataError("undecodable") where it comes out damaged.
        """
        if key_pts not in self._fed or pts in self._passed:
            self._start_at(key_pts)
        for frame in self._decoded():
            if frame.pts == pts:
                if frame.is_corrupt or pts < self._sound_from:
                    raise DataError("undecodable", "the frame, or one that it builds upon, is broken")
                return frame
            if frame.key_frame and frame.pts is not None and frame.pts > pts:
                break
        raise DataError("frame", "the frame cannot be decoded: the clip is cut off or broken there")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames in the order shown, from where the decoder stands."""
        while True:
            while self._ready:
                frame = self._ready.popleft()
                self._passed.add(frame.pts)
                yield frame
            packet = self._next()
            if packet is None:
                return
            if packet.pts is not None and packet.pts < self._start:
                continue
            is_sound = not packet.is_corrupt
            try:
                self._ready.extend(self._stream.codec_context.decode(packet if packet.size else None))
            except av.FFmpegError as error:
                self._blame(error)
                is_sound = False
            if not is_sound:
                self._sound_from = math.inf
            if packet.is_keyframe and packet.pts is not None:
                self._fed.add(packet.pts)
                if is_sound:
                    self._sound_from = min(self._sound_from, packet.pts)

    def _start_at(self, key_pts: int) -> None:
        """Bring the decoder to a key frame: on through the packets if it lies ahead, else by a seek or from the start.

        Packets passed over are not decoded.
        """
        ahead = self._position is not None and self._position < key_pts
        self._forget()
        if not ahead and self.seekable:
            self._seek(key_pts)
        elif not ahead:
            self._reopen()
        if self._skip_to(key_pts):
            return
        self._trusted &= ahead
        self._reopen()
        if not self._skip_to(key_pts):
            raise DataError("frame", "a key frame of the clip cannot be found again: its time stamps are broken")

    def _seek(self, key_pts: int) -> None:
        try:
            self._container.seek(key_pts, stream=self._stream)
        except av.FFmpegError as error:
            self._blame(error)
        self._packets = self._container.demux(self._stream)

    def _skip_to(self, key_pts: int) -> bool:
        """Drop packets up to the key frame; False if it does not come."""
        while packet := self._next():
            if packet.is_keyframe and packet.pts == key_pts:
                self._start = key_pts
                self._packets = chain([packet], self._packets)
                self._stream.codec_context.flush_buffers()
                return True
        return False

    def _next(self) -> "Packet[Any] | None":
        """The next packet; None at the end, or where reading breaks off."""
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as error:
            self._blame(error)
            return None
        if packet is not None and packet.is_keyframe and packet.pts is not None:
            self._position = packet.pts
        return packet

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    def _forget(self) -> None:
        """Nothing is in the decoder any more."""
        self._ready.clear()
        self._fed.clear()
        self._passed.clear()
        self._start = self._sound_from = -math.inf

    def _blame(self, error: av.FFmpegError) -> None:
        """Return if the file's content is at fault; raise what the machine raises.

        FFmpeg reports some broken files as input errors, so the file is read again without it.
        """
        if isinstance(error, MemoryError):
            raise error
        if isinstance(error, OSError):
            with self.path.open("rb") as file:
                while file.read(PIECE):
                    pass
