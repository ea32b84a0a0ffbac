################################################################################
# Settings that the programs of the example share.
################################################################################

# 1: the secondary slot is on the external flash.
USE_EXT_FLASH?=0

# Without an extension.
SIGN_KEY_FILE=cypress-test-ec-p256

# The application lies behind the bootloader.
BOOTLOADER_APP_FLASH_SIZE=0x18000
BOOTLOADER_APP_RAM_SIZE=0x20000

ifeq ($(USE_EXT_FLASH), 1)
    MCUBOOT_SLOT_SIZE=0x1E0000
else
    MCUBOOT_SLOT_SIZE=0xEE000
endif

MCUBOOT_SCRATCH_SIZE=0x1000
MCUBOOT_HEADER_SIZE=0x400 # a multiple of 1024

MCUBOOT_SECTOR_SIZE = 512
FLASH_IMG_SECTORS = $(shell expr $$(( $(MCUBOOT_SLOT_SIZE) / $(MCUBOOT_SECTOR_SIZE) )) )
MCUBOOT_MAX_IMG_SECTORS = $(FLASH_IMG_SECTORS)

INT_FLASH_SIZE=0x200000

ifeq ($(USE_EXT_FLASH), 1)
FACT_APP_SIZE=0x200000
else
FACT_APP_SIZE=0x100000
endif

ifeq ($(TARGET), $(filter $(TARGET),CY8CPROTO-062-4343W CY8CKIT-062S2-43012))
EXTERNAL_FLASH_SIZE=0x4000000
else
$(error TARGET $(TARGET) not supported)
endif
