"""A bag that `ros2 bag` reads: MCAP, raw CDR messages, offered QoS. Safe between threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rclpy.qos import QoSProfile
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from novaflow_bringup.ros.message_types import new_typestore, register
from novaflow_core.errors import Code, PlatformError

FOREVER = QosTime(9223372036, 854775807)


class BagWriter:
    """Writes one bag; what arrives after `close` is ignored."""

    def __init__(self, folder: Path) -> None:
        """Create the bag's folder.

        Raises:
            PlatformError: INVALID_SETTING when it exists or cannot be created.
        """
        self.folder = folder
        self._store = new_typestore()
        self._lock = threading.Lock()
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (OSError, WriterError) as error:
            raise PlatformError(
                Code.INVALID_SETTING, f"cannot write a bag to {folder}: {error}"
            ) from error
        self._open = True

    def add(self, topic: str, type_name: str, qos: QoSProfile) -> None:
        """Add a topic with the QoS that its publisher offers, if it is not there yet.

        Raises:
            PlatformError: INVALID_MESSAGE when the type's definition is not installed.
        """
        with self._lock:
            if topic in self._connections or not self._open:
                return
            register(self._store, type_name)
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._store, offered_qos_profiles=[_offered(qos)]
            )
            self.counts[topic] = 0

    def write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Append one serialised message."""
        with self._lock:
            if not self._open:
                return
            self._writer.write(self._connections[topic], stamp_ns, data)
            self.counts[topic] += 1

    def close(self) -> None:
        """Write the index; the bag is complete after this."""
        with self._lock:
            if self._open:
                self._open = False
                self._writer.close()


def _offered(qos: QoSProfile) -> Qos:
    return Qos(
        QosHistory.UNKNOWN,
        0,
        QosReliability(int(qos.reliability)),
        QosDurability(int(qos.durability)),
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )
